"""A connection to Redis that is opened again whenever it was lost.

::

    open ──lost──► away ──connected and prepared──► open (listeners are told)
      └──────────────┴──────close──────► closed ──reopen──► open
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from faas.core import errors
from faas.link import connection

_WAITS_S = (0.05, 0.2, 0.5, 1.0)
"""Between attempts to connect; the last one again and again."""

_log = logging.getLogger(__name__)

Prepare = Callable[[connection.Connection], Awaitable[None]]


class Link:
    """What a process says to Redis, over one connection after the other. Make it with `open`.

    Commands fail with `errors.Unavailable` while it is away; none is sent twice. ``prepare`` is run on each connection
    before anybody else uses it.
    """

    def __init__(self, url: str, opened: connection.Connection, prepare: Prepare) -> None:
        self.url = url
        self.connection = opened
        """The one of now."""
        self._prepare = prepare
        self._listeners: list[Callable[[], None]] = []
        self._opening = asyncio.Lock()
        self._keeping = self._keep_open()

    @classmethod
    async def open(cls, url: str, prepare: Prepare | None = None) -> Link:
        """Connect. Raises `errors.Unavailable`, and what ``prepare`` raises."""
        prepare = prepare or _nothing
        return cls(url, await _connected(url, prepare), prepare)

    def when_back(self, listener: Callable[[], None]) -> None:
        """Call this whenever the link is open again."""
        self._listeners.append(listener)

    async def reopen(self) -> None:
        """Connect now, unless it is open. Raises `errors.Unavailable`, and what ``prepare`` raises."""
        # Whoever needs it now and the task below may come at once; the second finds it open.
        async with self._opening:
            if self.is_open:
                return
            self.connection = await _connected(self.url, self._prepare)
        # After `close` nobody looks after it any more.
        if self._keeping.done():
            self._keeping = self._keep_open()
        for listener in self._listeners:
            listener()

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent."""
        return self.connection.is_open

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done when the connection of now is lost. Shield it."""
        return self.connection.lost

    @property
    def client_id(self) -> int:
        """What Redis calls the connection of now."""
        return self.connection.client_id

    def silent_ms(self) -> int:
        """See `connection.Connection.silent_ms`."""
        return self.connection.silent_ms()

    def call(self, *args: str | bytes | int) -> asyncio.Future[connection.Reply]:
        """See `connection.Connection.call`."""
        return self.connection.call(*args)

    def tell(self, *args: str | bytes | int) -> None:
        """See `connection.Connection.tell`."""
        self.connection.tell(*args)

    def flush(self) -> None:
        """See `connection.Connection.flush`."""
        self.connection.flush()

    def close(self) -> None:
        """Drop the connection, and make no other; what is outstanding fails."""
        self._keeping.cancel()
        self.connection.close()

    def _keep_open(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._reopen_for_ever(), name="link")

    async def _reopen_for_ever(self) -> None:
        while True:
            # Not awaited itself: to cancel this task would cancel the future, which others watch.
            await asyncio.wait({self.connection.lost})
            tries = 0
            while not self.is_open:
                try:
                    await self.reopen()
                except errors.FaasError as error:
                    _log.debug("redis_away", extra={"reason": error.message})
                    await asyncio.sleep(_WAITS_S[min(tries, len(_WAITS_S) - 1)])
                    tries += 1


async def _connected(url: str, prepare: Prepare) -> connection.Connection:
    opened = await connection.Connection.open(url)
    try:
        await prepare(opened)
    except BaseException:
        opened.close()
        raise
    return opened


async def _nothing(_opened: connection.Connection) -> None:
    pass
