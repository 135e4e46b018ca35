"""What can go wrong, as one tree; each error knows its HTTP status, its code and what to do about it.

::

    FaasError                       500  internal
    ├── BadRequest                  400  bad_request
    │   └── ManifestError           400  bad_manifest (one per fault; ManifestErrors holds all of a file's)
    ├── Unauthorized                401  unauthorized
    ├── NotFound                    404  not_found
    ├── MethodNotAllowed            405  method_not_allowed
    ├── TooSlow                     408  too_slow
    ├── Conflict                    409  conflict
    │   └── SourceMissing           409  source_missing
    ├── TooLarge                    413  too_large
    │   ├── TargetTooLong           414  target_too_long
    │   └── HeadTooLarge            431  head_too_large
    ├── Throttled                   429  throttled
    ├── FunctionFailed              502  the function's own error type
    ├── KeyReused                   422  idempotency_key_reused
    ├── BuildFailed                 422  build_failed
    ├── Unavailable                 503  unavailable
    └── TimedOut                    504  timed_out
        └── NeverRan                504  timed_out
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any


class FaasError(Exception):
    """The root of the tree. ``hint`` says what to do; ``data`` names the thing (function, limit, value)."""

    http_status = 500
    code = "internal"
    exit_code = 1
    fault = "platform"

    def __init__(self, message: str, *, hint: str = "", **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = data

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """The one shape of every error body: ``{"error": {"code", "message", "hint", ...}}``."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            error["hint"] = self.hint
        error.update({key: value for key, value in self.data.items() if value is not None})
        if request_id is not None:
            error["invocation_id"] = request_id
        return {"error": error}


class BadRequest(FaasError):
    """The caller sent something that cannot be understood."""

    http_status = 400
    code = "bad_request"
    exit_code = 2


class ManifestError(BadRequest):
    """One fault of a manifest; its message reads ``file:line:column: key: found X, expected Y``."""

    code = "bad_manifest"


class ManifestErrors(BadRequest):
    """Every fault of one manifest, in the order of its lines; ``errors`` holds them one by one."""

    code = "bad_manifest"

    def __init__(self, faults: Sequence[ManifestError]) -> None:
        super().__init__("\n".join(fault.message for fault in faults), errors=[fault.data for fault in faults])
        self.errors = tuple(faults)


class Unauthorized(FaasError):
    """The token is missing or wrong."""

    http_status = 401
    code = "unauthorized"
    exit_code = 3


class NotFound(FaasError):
    """No such function, route, bucket, object or invocation."""

    http_status = 404
    code = "not_found"
    exit_code = 4


class MethodNotAllowed(FaasError):
    """The route exists, but not for this method."""

    http_status = 405
    code = "method_not_allowed"
    exit_code = 2


class TooSlow(FaasError):
    """The client did not send its request in time; its connection is closed."""

    http_status = 408
    code = "too_slow"
    exit_code = 10


class Conflict(FaasError):
    """The thing is in a state that forbids this (two platforms on one data directory, two functions on one route)."""

    http_status = 409
    code = "conflict"
    exit_code = 5


class SourceMissing(Conflict):
    """Sources that a deploy did not send, as the platform might have them, have to be sent; ``missing`` names them."""

    code = "source_missing"


class TooLarge(FaasError):
    """A body, an object or a result is over its limit."""

    http_status = 413
    code = "too_large"
    exit_code = 2


class TargetTooLong(TooLarge):
    """The first line of a request is over its limit."""

    http_status = 414
    code = "target_too_long"


class HeadTooLarge(TooLarge):
    """The header fields of a request are over their limit, in bytes or in number."""

    http_status = 431
    code = "head_too_large"


class Throttled(FaasError):
    """A bound is reached; the caller may try again after ``retry_after_s`` seconds."""

    http_status = 429
    code = "throttled"
    exit_code = 6

    def __init__(self, message: str, *, retry_after_s: int = 1, hint: str = "", **data: Any) -> None:
        super().__init__(message, hint=hint, **data)
        self.retry_after_s = retry_after_s


class KeyReused(FaasError):
    """An idempotency key came again with another request."""

    http_status = 422
    code = "idempotency_key_reused"
    exit_code = 2


class BuildFailed(FaasError):
    """A deploy could not turn its source into a revision that loads; the message is the user's own trouble."""

    http_status = 422
    code = "build_failed"
    exit_code = 7
    fault = "function"


class FunctionFailed(FaasError):
    """The function raised, exited, ran out of memory or answered with what cannot be sent."""

    http_status = 502
    code = "function_failed"
    exit_code = 8
    fault = "function"


class Unavailable(FaasError):
    """Redis, Docker or the platform itself cannot be reached now; nothing was accepted."""

    http_status = 503
    code = "unavailable"
    exit_code = 9

    def __init__(self, message: str, *, retry_after_s: int = 1, hint: str = "", **data: Any) -> None:
        super().__init__(message, hint=hint, **data)
        self.retry_after_s = retry_after_s


class TimedOut(FaasError):
    """The function's own timeout passed (its fault), or nothing came to run it in time (the platform's)."""

    http_status = 504
    code = "timed_out"
    exit_code = 10


class NeverRan(TimedOut):
    """Nothing came to run it in time, and nothing will: it does not wait any more."""


def cannot_listen(error: OSError, host: str, port: int, hint: str) -> FaasError:
    """Why nobody can listen there: `Conflict` with a hint when the port is in use, `Unavailable` for another reason."""
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"port {port} is in use", hint=hint)
    return Unavailable(f"cannot listen on {host}:{port}: {error}")
