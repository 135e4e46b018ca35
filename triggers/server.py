"""The gateway's HTTP server: aiohttp's, with a bound on open connections, a limit on how slow a client may be, and a
refusal of what is no HTTP in the one shape of all errors."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from faas.core import errors, ids
from triggers import http

_MAX_LINE_BYTES = 16_384
_MAX_FIELD_BYTES = 65_536
_LINGER_S = 1.0

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Most open connections; how long the head of a request may take, and how long an idle connection is kept."""

    connections: int
    head_within_s: float
    idle_s: float


class _Connection(RequestHandler):
    """One connection. One too many is answered with a 503 at once, whatever it sends, and closed."""

    __slots__ = ("_first_head", "_server")

    def __init__(self, server: Server, **options: object) -> None:
        super().__init__(server, **options)  # type: ignore[arg-type]
        self._server = server
        self._first_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.admit(self):
            # Until the first request is whole; from then on aiohttp's keep-alive timer runs between the requests.
            self._first_head = self._loop.call_later(self._server.limits.head_within_s, self.force_close)
        else:
            self._refuse(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.dismiss(self)
        self.head_is_here()
        super().connection_lost(exc)

    def head_is_here(self) -> None:
        """A request has begun to be answered."""
        if self._first_head is not None:
            self._first_head.cancel()
            self._first_head = None

    def _refuse(self, transport: asyncio.Transport) -> None:
        error = errors.Unavailable(
            f"{self._server.limits.connections} connections are open", hint="see the setting max_connections"
        )
        response = http.refusal(error, ids.new_id())
        body = cast(bytes, response.body)
        fields = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        transport.write(f"HTTP/1.1 {response.status} {response.reason}\r\n{head}\r\n".encode() + body)
        transport.write_eof()
        # What the client still sends is read and dropped for a moment: closing on it would take the answer back.
        self.close()
        self._loop.call_later(_LINGER_S, self.force_close)

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

    def __init__(self, handle: Handle, limits: Limits) -> None:
        super().__init__(
            self._answer,
            handler_cancellation=True,
            access_log=None,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            keepalive_timeout=limits.idle_s,
            lingering_time=_LINGER_S,
        )
        # The other half of the file descriptors is for sandboxes and what else the process opens.
        most = min(limits.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self.limits = msgspec.structs.replace(limits, connections=most)
        self._handle = handle
        self._admitted: set[_Connection] = set()
        self._is_leaving = False
        self._nobody_left = asyncio.Event()

    def __call__(self) -> RequestHandler:
        """One connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, connection: _Connection) -> bool:
        """Whether there is room for one more; those admitted are counted by being here, so none can leak."""
        if len(self._admitted) >= self.limits.connections:
            return False
        self._admitted.add(connection)
        return True

    def dismiss(self, connection: _Connection) -> None:
        """The connection is gone."""
        self._admitted.discard(connection)
        if not self._admitted:
            self._nobody_left.set()

    async def say_farewell(self, within_s: float) -> None:
        """Let each connection end with its next answer, so that no request meets a closed one; so long at most."""
        self._is_leaving = True
        if not self._admitted:
            return
        self._nobody_left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._nobody_left.wait()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        cast(_Connection, request.protocol).head_is_here()
        response = await self._handle(request)
        if self._is_leaving:
            response.force_close()
        return response
