"""The gateway's HTTP server: aiohttp's, except that what is no HTTP is refused in the one shape of all errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from faas.core import errors, ids
from triggers import http

_MAX_LINE_BYTES = 16_384
_MAX_FIELD_BYTES = 65_536

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to bytes that aiohttp cannot read as a request. The connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun, another cannot be sent")
        if status >= 500:
            self.log_exception("request_failed", exc_info=exc)
            error = errors.FaasError("the gateway failed; see its log")
        else:
            error = errors.BadRequest(f"no HTTP request: {(message or 'it cannot be read').splitlines()[0]}")
        response = http.refusal(error, ids.new_id())
        response.force_close()
        return response


class Server(web.Server):
    """Serves ``handle``; a request whose client hangs up is cancelled."""

    def __init__(self, handle: Handle) -> None:
        super().__init__(
            handle,
            handler_cancellation=True,
            access_log=None,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
        )

    def __call__(self) -> RequestHandler:
        """One connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)
