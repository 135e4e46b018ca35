"""How the control API answers what is no HTTP: in the shape that all its errors have, and in its own words.

It is not logged: anybody may send it without end, and it may hold the token of somebody who meant well.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import http_exceptions, web, web_protocol

from faas.api import answers, middleware
from faas.core import errors

_log = logging.getLogger(__name__)


class Speaking(web_protocol.RequestHandler):
    """aiohttp's protocol, whose own answers are texts about its parser."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """See `aiohttp.web.RequestHandler`. The connection ends with the answer."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("an answer is on its way already, or there is nobody to hear one")
        # What aiohttp says of an `Expect` that is no text cannot be encoded, which is the client's doing.
        is_ours = status >= 500 and not isinstance(exc, UnicodeEncodeError)
        if is_ours:
            _log.error("request_broken", exc_info=exc)
        answer = answers.failure(errors.FaasError("the control API failed") if is_ours else error_of(exc))
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """See aiohttp. What it answers before any middleware has the shape of errors, too."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = middleware.shaped(request, resp)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """See `aiohttp.web.RequestHandler`. What a client sent badly is not worth a stack."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError | http_exceptions.HttpProcessingError):
            super().log_exception(*args, **kw)


def error_of(exc: BaseException | None) -> errors.FaasError:
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


def speaking(protocol: web_protocol.RequestHandler) -> web_protocol.RequestHandler:
    """A protocol as aiohttp's server made it, which lets nobody choose its class."""
    protocol.__class__ = Speaking
    return protocol
