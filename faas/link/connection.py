"""A connection to Redis, until it is lost: commands of one turn of the event loop leave in one write.

hiredis packs and parses; this module only keeps order. It speaks RESP2 and knows nothing of keys or scripts. Everything
that is not on the path of an invocation uses redis-py instead.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from typing import Any, cast

import hiredis

from faas.core import errors
from faas.link import address as addresses
from faas.link import half_open, refusals

Reply = Any
_REFUSES = "Redis refuses: "
_NO_SCRIPT = f"{_REFUSES}NOSCRIPT"

_log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """A multiplexed connection. `call` returns a future at once; replies resolve the futures in order.

    A lost connection fails every outstanding future with `errors.Unavailable`, and is not opened again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Errors are made ours where they are parsed: some stand inside an array (of EXEC), where nobody looks.
        self._reader = hiredis.Reader(replyError=_refused)
        self._waiting: collections.deque[asyncio.Future[Reply] | None] = collections.deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._last_heard = loop.time()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.client_id = 0

    @classmethod
    async def open(cls, url: str) -> Connection:
        """Connect, authenticate and select.

        Raises `errors.Unavailable` when Redis does not answer, `errors.BadRequest` for a URL that cannot be used.
        """
        address = addresses.parse(url)
        tls = addresses.context(address.tls) if address.tls else None
        loop = asyncio.get_running_loop()
        opened = cls(loop)
        try:
            async with asyncio.timeout(5):
                if address.path is not None:
                    await loop.create_unix_connection(lambda: opened, address.path)
                else:
                    await loop.create_connection(lambda: opened, address.host, address.port, ssl=tls)
                # Within the same time limit: a server that accepts and says nothing is as good as none.
                await opened._greet(address)
        except OSError as error:
            opened.close()
            raise errors.Unavailable(f"Redis at {address.shown} does not answer: {error}") from error
        except BaseException:  # also when whoever wants it has changed their mind: nobody else would close it
            opened.close()
            raise
        return opened

    async def _greet(self, address: addresses.Address) -> None:
        if address.password is not None:
            user = (address.username,) if address.username else ()
            await self.call("AUTH", *user, address.password)
        if address.db:
            await self.call("SELECT", address.db)
        self.client_id = await self.call("CLIENT", "ID")

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent."""
        return not self.lost.done() and self._transport is not None

    def silent_ms(self) -> int:
        """For how long replies have been due and none came; 0 when nothing is outstanding."""
        if not self._waiting:
            return 0
        return int((self._loop.time() - self._last_heard) * 1000)

    def call(self, *args: str | bytes | int) -> asyncio.Future[Reply]:
        """Send a command. The future carries the reply, or `errors.Unavailable` (Redis is gone, full or refuses)."""
        future = self._loop.create_future()
        self._send(_pack(args), future)
        return future

    def tell(self, *args: str | bytes | int) -> None:
        """Send a command whose reply nobody awaits."""
        self._send(_pack(args), None)

    def _send(self, packed: bytes, future: asyncio.Future[Reply] | None) -> None:
        if not self.is_open:
            if future is not None:
                _fail(future)
            return
        # Silence counts from the first command that awaits an answer, not from when the line fell idle.
        if not self._waiting:
            self._last_heard = self._loop.time()
        self._waiting.append(future)
        # Once a turn: everything that is called until then leaves in one write.
        if not self._outgoing:
            self._loop.call_soon(self.flush)
        self._outgoing.append(packed)

    def flush(self) -> None:
        """Send what was called so far in this turn of the event loop, not in the next one."""
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def close(self) -> None:
        """Drop the connection; what is outstanding fails."""
        # What was told last, such as the removal of a key of our own, leaves before the end.
        self.flush()
        if self._transport is not None:
            self._transport.close()
        self._settle_loss()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        half_open.watch(transport)

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._loop.time()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._heard(reply)
        except hiredis.HiredisError as error:  # what came is no reply: nothing after it can be made out
            _log.error("redis_not_understood", extra={"reason": str(error)})
            self.close()

    def _heard(self, reply: Reply) -> None:
        if not self._waiting:
            raise hiredis.ProtocolError("a reply that nobody awaits")
        future = self._waiting.popleft()
        is_refusal = isinstance(reply, errors.Unavailable)
        if is_refusal and reply.message.startswith(_NO_SCRIPT):
            # This is not the server any more that was given the scripts: who connects anew gives them again.
            self._loop.call_soon(self.close)
        if future is None or future.done():
            return
        if is_refusal:
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle_loss()

    def _settle_loss(self) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)
        while self._waiting:
            future = self._waiting.popleft()
            if future is not None and not future.done():
                _fail(future)


def _fail(future: asyncio.Future[Reply]) -> None:
    future.set_exception(_gone())
    future.exception()  # whoever asked may have gone, and then nothing is to be said of it


def _pack(args: tuple[str | bytes | int, ...]) -> bytes:
    # hiredis types its argument as a tuple of one element; it takes any number.
    packed: bytes = cast(Any, hiredis.pack_command)(args)
    return packed


def _gone() -> errors.Unavailable:
    return errors.Unavailable("the connection to Redis is gone", hint="it is retried; see `faas doctor`")


def _refused(said: str) -> errors.Unavailable:
    return errors.Unavailable(f"{_REFUSES}{said}", hint=refusals.advice(said))
