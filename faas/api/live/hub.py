"""What happens, told to all who watch: one task a source, however many listen, and none while nobody does.

::

    records stream ──┐                     ┌─► listener (a bounded queue) ──► one response
    log lines ───────┼─ encoded once each ─┤
    places, nodes ───┘                     └─► listener …

A listener that is too slow loses events, and is told how many.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec

from faas.core import errors

MOST_LISTENERS = 200
MOST_WAITING = 1_000
"""Events that wait for one listener to take them."""
MOST_BYTES = 1024 * 1024
"""Bytes of these: a line that a function printed may have 256 KiB, and all that wait are put together to be sent."""
_GATHER_S = 0.05
"""What happens within this is sent in one piece."""
_PAUSE_S = 1.0
"""How long a source that failed is left alone."""

_log = logging.getLogger(__name__)


class EventWish(msgspec.Struct, frozen=True):
    """What a listener wants to hear of: which types, and of records and lines those of a function or an invocation."""

    types: frozenset[str]
    function: str | None = None
    invocation_id: str | None = None


class ServerEvent(msgspec.Struct, frozen=True):
    """One event, ready to be sent; of which function and invocation it is, if of one."""

    type: str
    data: bytes
    function: str | None = None
    invocation_id: str | None = None

    def fits(self, wish: EventWish) -> bool:
        """Whether somebody who wishes so wants it. What is of no function is for everybody."""
        return (
            (self.type in wish.types or self.type not in TYPES)
            and (wish.function is None or self.function in (None, wish.function))
            and (wish.invocation_id is None or self.invocation_id in (None, wish.invocation_id))
        )

    def frame(self) -> bytes:
        """As it stands in the stream. JSON has no line breaks, so one line of data holds it."""
        return b"event: %s\ndata: %s\n\n" % (self.type.encode(), self.data)


TYPES = frozenset({"record", "log", "status", "alarm"})
"""What can be wished for. ``missed`` and ``away`` come unasked."""

Tell = Callable[[ServerEvent], None]
Source = Callable[[Tell], Awaitable[None]]
"""Tells of what happens until it is cancelled. Raises `errors.Unavailable`: then it is begun again."""


class EventClient:
    """What is on its way to one client."""

    def __init__(self, wish: EventWish) -> None:
        self.wish = wish
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._missed = 0
        self._news = asyncio.Event()
        self.is_over = False

    def offer(self, event: ServerEvent, frame: bytes) -> None:
        """Let it have an event, if it wishes and there is room."""
        if not event.fits(self.wish):
            return
        # What is new is left out and not what waits, so a gap has one place, and its size is told behind it.
        has_room = self._waiting_bytes + len(frame) <= MOST_BYTES or not self._waiting
        if has_room and len(self._waiting) < MOST_WAITING:
            self._waiting.append(frame)
            self._waiting_bytes += len(frame)
        else:
            self._missed += 1
        self._news.set()

    def end(self) -> None:
        """Say that nothing comes any more."""
        self.is_over = True
        self._news.set()

    async def next(self, within_s: float) -> bytes:
        """Whatever has come, as soon as there is some; nothing after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()
                # A burst goes out in one write; each event alone would be a packet, and work for the page.
                if not self.is_over:
                    await asyncio.sleep(_GATHER_S)
        self._news.clear()
        frames = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._missed:
            frames.append(missed(self._missed).frame())
            self._missed = 0
        return b"".join(frames)


class Hub:
    """All listeners, and the sources that are at work for them. ``sources`` are by the type that they tell of."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._listeners: set[EventClient] = set()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._is_over = False

    @contextlib.asynccontextmanager
    async def listening(self, wish: EventWish) -> AsyncIterator[EventClient]:
        """A listener during the block. Raises `errors.Unavailable` when there are too many, or all ends."""
        if self._is_over or len(self._listeners) >= MOST_LISTENERS:
            raise errors.Unavailable(f"{len(self._listeners)} listen to events", hint="close some pages")
        listener = EventClient(wish)
        self._listeners.add(listener)
        self._adjust()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._adjust()

    def tell(self, event: ServerEvent) -> None:
        """Tell whoever wishes to hear of it."""
        frame = event.frame()
        for listener in self._listeners:
            listener.offer(event, frame)

    async def close(self) -> None:
        """End all listeners and sources."""
        self._is_over = True
        for listener in self._listeners:
            listener.end()
        working = list(self._working.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    def _adjust(self) -> None:
        """Let work what is wished for, and nothing else."""
        wanted = {type for listener in self._listeners for type in listener.wish.types}
        for type in list(self._working):
            if type not in wanted:
                self._working.pop(type).cancel()
        for type in wanted & self._sources.keys() - self._working.keys():
            if not self._is_over:
                self._working[type] = asyncio.create_task(self._work(type), name=f"live {type}")

    async def _work(self, type: str) -> None:
        is_away = False

        def tell(event: ServerEvent) -> None:
            nonlocal is_away
            is_away = False
            self.tell(event)

        while True:
            try:
                await self._sources[type](tell)
            except errors.FaasError as error:
                if not is_away:  # once, and not each second that it lasts
                    self.tell(ServerEvent("away", msgspec.json.encode({"type": type, "message": error.message})))
                is_away = True
            except Exception:  # noqa: BLE001 - whatever ails one source, listeners go on hearing of the others
                _log.exception("live_source_failed", extra={"source": type})
            await asyncio.sleep(_PAUSE_S)


def missed(count: int | None) -> ServerEvent:
    """Some events were left out: so many, or nobody counted them."""
    return ServerEvent("missed", msgspec.json.encode({"count": count}))
