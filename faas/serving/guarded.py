"""A connection whose HTTP aiohttp speaks, kept to the same bounds as those of the gateway.

::

                 ┌────────────────────────── ended ◄──┐
                 ▼                                    │
    HEAD ──► AWAITING ──bytes──► HEAD ──begun──► AT WORK
      └─too late┴────too late─────┘                   │  the body comes too slowly: 408
                                                      └─ the answer is not read: cut

aiohttp alone waits for ever for the rest of a head, for a body, and for a client to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import aiohttp
import msgspec
from aiohttp import web

from faas.core import errors
from faas.serving import server

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SLOWEST_BYTES_S = 8_192
"""A body that comes slower than this, and not within the time for small ones, is not waited for."""
_LONGEST_FAREWELL_S = 1.0


class State(enum.Enum):
    """What a connection waits for; see above."""

    HEAD = enum.auto()
    AWAITING = enum.auto()
    AT_WORK = enum.auto()


class Guarded(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol ``inner``, and watches how long it takes."""

    def __init__(self, home: server.Server, limits: server.PortLimits, inner: asyncio.Protocol) -> None:
        self.held_bytes = 0
        self._home = home
        self._inner = inner
        self._receive_s = limits.receive_timeout_ms / 1000
        self._keep_s = limits.keep_alive_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._state = State.HEAD
        self._since = self._loop.time()
        self._is_refused = False
        self._body: aiohttp.StreamReader | None = None
        self._late: asyncio.Timeout | None = None
        """Ends the work on a request whose body does not come."""
        self._came_bytes = 0
        self._is_full = False
        self._unread_bytes, self._unread_since, self._unread_until = 0, 0.0, 0.0

    # -- what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        refusal = self._home.admit(self)
        if refusal is not None:
            self._refuse(refusal)
        else:
            self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_refused:
            return
        self._came_bytes += len(data)
        # The first byte of the next request, and its head has a time of its own from here on.
        if self._state is State.AWAITING:
            self._turn_to(State.HEAD)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """See `asyncio.Protocol`."""
        return None if self._is_refused else self._inner.eof_received()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_full = True
        left, now = self._transport.get_write_buffer_size(), self._loop.time()
        self._unread_bytes, self._unread_since = left, now
        # What is left now has to be read at this pace, whatever is written on top of it.
        self._unread_until = now + self._receive_s + left / _SLOWEST_BYTES_S
        self._home.hold(self, left)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_full = False
        self._home.hold(self, 0)
        self._inner.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        self._home.dismiss(self)
        if not self._is_refused:
            self._inner.connection_lost(cast(Exception | None, exc))

    # -- what the server says

    @property
    def address(self) -> str:
        """See `server.ClientConnection`."""
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    @property
    def waits_since(self) -> float | None:
        """See `server.ClientConnection`."""
        return None if self._state is State.AT_WORK and not self._is_full else self._since

    def look(self, now: float) -> None:
        """See `server.ClientConnection`."""
        if self._is_full:
            if self._reads_too_slowly(now):
                self._transport.abort()
        elif self._state is State.AT_WORK:
            self._look_at_body(now)
        elif now - self._since > self._patience_s():
            self._transport.abort()

    def make_room(self) -> None:
        """See `server.ClientConnection`."""
        self._transport.abort()

    def end(self) -> None:
        """See `server.ClientConnection`."""
        if self._state is not State.AT_WORK:
            self._transport.close()

    def abort(self) -> None:
        """See `server.ClientConnection`."""
        self._transport.abort()

    # -- what happens to requests

    @contextlib.asynccontextmanager
    async def working(self, request: web.Request) -> AsyncIterator[None]:
        """A request is answered during the block. Raises `errors.TooSlow` when its body does not come."""
        self._came_bytes = 0
        self._turn_to(State.AT_WORK)
        try:
            # Without a time at first: a body that comes in time sets no timer, and one that does not is ended by a
            # look.
            async with asyncio.timeout(None) as late:
                self._body, self._late = request.content, late
                yield
        except TimeoutError as error:
            # A TimeoutError of the handler itself.
            if not late.expired():
                raise
            within_ms = round(self._receive_s * 1000)
            raise errors.TooSlow(f"the body has not come within {within_ms} ms") from error
        finally:
            self._body = self._late = None
            self._turn_to(State.AWAITING)

    def _look_at_body(self, now: float) -> None:
        """A body must come at a pace, for as long as we are willing to take it in."""
        if self._late is None or self._body is None or self._body.is_eof() or self._late.expired():
            return
        # It is we who do not take it in: then the client keeps nobody waiting.
        if not self._transport.is_reading():
            self._since = now
        elif now - self._since > self._receive_s + self._came_bytes / _SLOWEST_BYTES_S:
            self._late.reschedule(now)

    def _turn_to(self, state: State) -> None:
        self._state, self._since = state, self._loop.time()

    def _patience_s(self) -> float:
        if self._is_refused:
            return _LONGEST_FAREWELL_S
        return self._keep_s if self._state is State.AWAITING else self._receive_s

    def _reads_too_slowly(self, now: float) -> bool:
        left = self._transport.get_write_buffer_size()
        # Something was read: whoever reads at all has the whole time for the rest.
        if left != self._unread_bytes:
            self._unread_bytes, self._unread_since = left, now
        return now > self._unread_until or now - self._unread_since > self._receive_s

    def _refuse(self, error: errors.FaasError) -> None:
        self._is_refused = True
        body = msgspec.json.encode(error.body())
        head = (
            f"HTTP/1.1 {error.http_status} \r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Retry-After: 1\r\nFaas-Error: platform\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.write_eof()


@web.middleware
async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the connection of a request know what is at work."""
    guard = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(guard, Guarded):
        return await handler(request)
    async with guard.working(request):
        return await handler(request)
