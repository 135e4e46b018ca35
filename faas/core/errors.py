"""What can go wrong, as one tree; each error knows whose fault it is, its HTTP status, its code and what to do.

::

    FaasError                           500  internal
    ├── CallerFault                     the caller's: what was asked cannot be done as it was asked
    │   ├── BadRequest                  400  bad_request
    │   │   └── ManifestError           400  bad_manifest (one per fault; ManifestErrors holds all of a file's)
    │   ├── Unauthorized                401  unauthorized
    │   ├── Forbidden                   403  forbidden
    │   ├── NotFound                    404  not_found
    │   ├── MethodNotAllowed            405  method_not_allowed
    │   ├── TooSlow                     408  too_slow
    │   ├── Conflict                    409  conflict
    │   │   └── SourceMissing           409  source_missing
    │   ├── TooLarge                    413  too_large
    │   │   ├── TargetTooLong           414  target_too_long
    │   │   └── HeadTooLarge            431  head_too_large
    │   ├── RangeNotSatisfiable         416  range_not_satisfiable
    │   ├── ExpectationFailed           417  expectation_failed
    │   ├── Misdirected                 421  misdirected
    │   ├── KeyReused                   422  idempotency_key_reused
    │   └── ChainTooDeep                508  chain_too_deep
    ├── FunctionFault                   the function's, or that of its source
    │   ├── BuildFailed                 422  build_failed
    │   ├── FunctionFailed              502  function_failed
    │   └── FunctionTimedOut            504  timed_out (a TimedOut too)
    ├── Throttled                       429  throttled
    │   └── BudgetReached               429  budget_reached
    ├── Unavailable                     503  unavailable
    │   └── NothingRuns                 503  unavailable
    └── TimedOut                        504  timed_out
        └── NeverRan                    504  timed_out

What stands below neither of the two is the platform's. Fault, status, code and exit code belong to the class: who knows
better raises another class, nobody sets them on an error that is made.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar


class Fault(enum.StrEnum):
    """Whose fault an error is."""

    CALLER = "caller"
    FUNCTION = "function"
    PLATFORM = "platform"

    @property
    def in_header(self) -> str:
        """The value of ``Faas-Error``: who said no. What the caller got wrong is the platform's to refuse."""
        return Fault.FUNCTION if self is Fault.FUNCTION else Fault.PLATFORM


class FaasError(Exception):
    """The root of the tree. ``hint`` says what to do; ``data`` names the thing (function, limit, value)."""

    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    fault: ClassVar[Fault] = Fault.PLATFORM

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


class CallerFault(FaasError):
    """What was asked cannot be done as it was asked, however often it is tried."""

    fault = Fault.CALLER


class FunctionFault(FaasError):
    """The function failed, or its source does: the platform did as it was asked."""

    fault = Fault.FUNCTION


class BadRequest(CallerFault):
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


class Unauthorized(CallerFault):
    """The token is missing or wrong."""

    http_status = 401
    code = "unauthorized"
    exit_code = 3


class Forbidden(CallerFault):
    """The caller may not ask for this, or not from there."""

    http_status = 403
    code = "forbidden"
    exit_code = 3


class NotFound(CallerFault):
    """No such function, route, bucket, object or invocation."""

    http_status = 404
    code = "not_found"
    exit_code = 4


class MethodNotAllowed(CallerFault):
    """The route exists, but not for this method."""

    http_status = 405
    code = "method_not_allowed"
    exit_code = 2


class TooSlow(CallerFault):
    """The client did not send its request in time; its connection is closed."""

    http_status = 408
    code = "too_slow"
    exit_code = 10


class Conflict(CallerFault):
    """The thing is in a state that forbids this (two platforms on one data directory, two functions on one route)."""

    http_status = 409
    code = "conflict"
    exit_code = 5


class SourceMissing(Conflict):
    """Sources that a deploy did not send, as the platform might have them, have to be sent; ``missing`` names them."""

    code = "source_missing"


class TooLarge(CallerFault):
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


class RangeNotSatisfiable(CallerFault):
    """The bytes that were asked for are not in the object."""

    http_status = 416
    code = "range_not_satisfiable"
    exit_code = 2


class ExpectationFailed(CallerFault):
    """The request expects something else than ``100-continue``."""

    http_status = 417
    code = "expectation_failed"
    exit_code = 2


class ChainTooDeep(CallerFault):
    """Functions trigger one another without end: this call would be one link too many of their chain."""

    http_status = 508
    code = "chain_too_deep"
    exit_code = 2


class Throttled(FaasError):
    """A bound is reached; the caller may try again after ``retry_after_s`` seconds."""

    http_status = 429
    code = "throttled"
    exit_code = 6

    def __init__(self, message: str, *, retry_after_s: int = 1, hint: str = "", **data: Any) -> None:
        super().__init__(message, hint=hint, **data)
        self.retry_after_s = retry_after_s


class BudgetReached(Throttled):
    """A function, or all of them, has cost as much as its budget allows; it runs again when the period is over."""

    code = "budget_reached"


class Misdirected(CallerFault):
    """The request names a host that this platform does not go by."""

    http_status = 421
    code = "misdirected"
    exit_code = 2


class KeyReused(CallerFault):
    """An idempotency key came again with another request."""

    http_status = 422
    code = "idempotency_key_reused"
    exit_code = 2


class BuildFailed(FunctionFault):
    """A deploy could not turn its source into a revision that loads; the message is the user's own trouble."""

    http_status = 422
    code = "build_failed"
    exit_code = 7


class FunctionFailed(FunctionFault):
    """The function raised, exited, ran out of memory or answered with what cannot be sent."""

    http_status = 502
    code = "function_failed"
    exit_code = 8


class Unavailable(FaasError):
    """Redis, Docker or the platform itself cannot be reached now; nothing was accepted."""

    http_status = 503
    code = "unavailable"
    exit_code = 9

    def __init__(self, message: str, *, retry_after_s: int = 1, hint: str = "", **data: Any) -> None:
        super().__init__(message, hint=hint, **data)
        self.retry_after_s = retry_after_s


class NothingRuns(Unavailable):
    """No sandbox can be started to run it, here or elsewhere; it was not accepted, or does not wait any more."""


class TimedOut(FaasError):
    """The call has not ended in time: the function's own timeout passed, or nothing came to run it."""

    http_status = 504
    code = "timed_out"
    exit_code = 10


class NeverRan(TimedOut):
    """Nothing came to run it in time, and nothing will: it does not wait any more."""


class FunctionTimedOut(FunctionFault, TimedOut):
    """The function's own timeout passed."""


def kinds(of: type[FaasError] = FaasError) -> Iterator[type[FaasError]]:
    """The tree, or the part below an error, each before what is below it and the upper levels first."""
    level = [of]
    seen: set[type[FaasError]] = set()
    while level:
        fresh = [kind for kind in dict.fromkeys(level) if kind not in seen]
        seen.update(fresh)
        yield from fresh
        level = [below for kind in fresh for below in kind.__subclasses__()]


def told(detail: Mapping[str, Any], http_status: int) -> FaasError:
    """The error that another process made, from what is in its `FaasError.body` under ``error``.

    Its class is the one of its code, or where this process knows no such code, the uppermost of its status.
    """
    left = dict(detail)
    message, hint = str(left.pop("message", http_status)), str(left.pop("hint", ""))
    kind = _kind(str(left.get("code", "")), http_status)
    if left.get("code") in ("", kind.code):
        del left["code"]  # else it is kept as data, so that it is told on as it was told
    error = kind(message, hint=hint)
    error.data.update(left)
    return error


def of_status(http_status: int) -> type[FaasError]:
    """The uppermost error of a status; of one that none has, the first of its hundred."""
    # A platform of another version may have errors that this one does not.
    at_all = BadRequest if 400 <= http_status < 500 else FaasError
    return next((kind for kind in kinds() if kind.http_status == http_status), at_all)


def _kind(code: str, http_status: int) -> type[FaasError]:
    # It has the code of the single one, and is made of several.
    plain = (kind for kind in kinds() if kind is not ManifestErrors)
    return next((kind for kind in plain if kind.code == code), of_status(http_status))


def cannot_listen(error: OSError, host: str, port: int, hint: str) -> FaasError:
    """Why nobody can listen there: `Conflict` with a hint when the port is in use, `Unavailable` for another reason."""
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"port {port} is in use", hint=hint)
    return Unavailable(f"cannot listen on {host}:{port}: {error}")
