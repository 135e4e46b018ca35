"""What aiohttp refuses by itself, as errors of this platform: in one shape, and in words that say what is wrong."""

from __future__ import annotations

from aiohttp import http_exceptions, web

from faas.api import answers
from faas.core import errors


def answer(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """The answer to what aiohttp refuses, in the one shape of errors."""
    return answers.failure(_translated(request, error), _kept(error))


def _translated(request: web.BaseRequest, error: web.HTTPException) -> errors.FaasError:
    if isinstance(error, web.HTTPNotFound):
        return errors.NotFound(f"no such path: {request.path}", hint="see /api/v1/openapi.json")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return errors.MethodNotAllowed(f"{request.path} does not take {request.method}", hint=f"it takes {allowed}")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return errors.TooLarge("the body of the request is too large", hint="see max_event_bytes in the settings")
    return errors.of_status(error.status)(error.reason)


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {name: error.headers[name] for name in ("Allow", "Content-Range", "Retry-After") if name in error.headers}


def of_parser(exc: BaseException | None) -> errors.FaasError:
    """What is wrong with a request that could not be read, or with its body."""
    if isinstance(exc, http_exceptions.LineTooLong):
        return _too_long(exc)
    if isinstance(exc, http_exceptions.ContentEncodingError):
        return errors.BadRequest("the body is not packed as its Content-Encoding says")
    if isinstance(exc, http_exceptions.TransferEncodingError | http_exceptions.ContentLengthError):
        return errors.BadRequest("the body does not come as its header says")
    if isinstance(exc, http_exceptions.BadHttpMethod):
        return errors.BadRequest("no HTTP request: it begins with no method of HTTP")
    return errors.BadRequest("no HTTP request: its lines are not those of HTTP/1.1")


def _too_long(exc: http_exceptions.LineTooLong) -> errors.TooLarge:
    line, limit = exc.args[0], exc.args[1]
    # By its parser aiohttp hands over the bytes, or the text that Python shows of them.
    begin = line if isinstance(line, bytes | bytearray) else str(line).encode()
    if begin.lstrip(b"b'\"").startswith((b"/", b"http:", b"https:")):
        return errors.TargetTooLong(f"the request line is over {limit} bytes", limit=int(limit))
    return errors.HeadTooLarge(f"a header field of the request is over {limit} bytes", limit=int(limit))
