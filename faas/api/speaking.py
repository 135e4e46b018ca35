"""How the control API answers what is no HTTP: in the shape that all its errors have, and in its own words.

It is not logged: anybody may send it without end, and it may hold the token of somebody who meant well.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import http_exceptions, web, web_protocol

from faas.api import answers, refusals
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
        answer = answers.failure(errors.FaasError("the control API failed") if is_ours else refusals.of_parser(exc))
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """See aiohttp. What it answers before any middleware has the shape of errors, too."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = refusals.answer(request, resp)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """See `aiohttp.web.RequestHandler`. What a client sent badly is not worth a stack."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError | http_exceptions.HttpProcessingError):
            super().log_exception(*args, **kw)


def speaking(protocol: web_protocol.RequestHandler) -> web_protocol.RequestHandler:
    """A protocol as aiohttp's server made it, which lets nobody choose its class."""
    protocol.__class__ = Speaking
    return protocol
