"""What the queues hold, counted one by one beside what the bounds' counter says, while everything goes on.

Redis does nothing else while it looks at an entry, and copies the entry to look at it. So this counts in steps that
are bounded in entries, bytes and time, and leaves Redis alone after each step for as long as the step took. The last
step is one instant: it counts what has come since the steps before it, and reads the counter and how many entries
there are.

Entries that were counted and left before that instant are the difference between those counted and those there. Each
had at most the bytes of the largest. So a counter that is wrong can be told from one that only moved::

    bytes counted - left * largest  <=  bytes in truth  <=  bytes counted
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from faas.core import clock, errors
from faas.queue import active
from faas.queue import server as servers

STEP_ENTRIES = 300
STEP_BYTES = 1_000_000
"""What one step looks at; one more entry, whatever its size, may be among it."""
STEP_S = 0.003
"""How long a step may take, of the processor's time, where these are slow to look at."""

_STREAMS_AT_ONCE = 100
_MOST_TRIES = 20
_STEP_WITHIN_S = 5.0
_MOST_S = 100.0
"""After so long the last step is done, whether or not all was counted: more may come than a step counts."""


Counted = tuple[int, int, int]
"""What the bounds' counter has: entries, their bytes, and bytes of records that wait for the ledger."""


class Recounted(msgspec.Struct, frozen=True, kw_only=True):
    """What waits or runs, and the records that wait for the ledger: counted one by one, and by the bounds' counter.

    ``moved_bytes`` is by how much ``bytes`` may be too many, as some left while they were counted; None when so much
    moved that the bytes could not be counted. ``moved_unrecorded_bytes`` is the same of the records. ``missing`` are
    revisions that had work and that no node looked at; now nodes do.
    """

    entries: int
    bytes: int
    unrecorded_bytes: int
    counted_entries: int
    counted_bytes: int
    counted_unrecorded_bytes: int
    moved_bytes: int | None = 0
    moved_unrecorded_bytes: int | None = 0
    missing: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether the counter says the truth, as far as what moved lets one see."""
        return (
            self.entries == self.counted_entries
            and _may_be(self.counted_bytes, self.bytes, self.moved_bytes)
            and _may_be(self.counted_unrecorded_bytes, self.unrecorded_bytes, self.moved_unrecorded_bytes)
        )

    @property
    def is_exact(self) -> bool:
        """Whether nothing left while it was counted, so that the bytes are exact."""
        return self.moved_bytes == self.moved_unrecorded_bytes == 0


class Walked(msgspec.Struct):
    """What was counted of some streams; ``last`` is the id of the last entry of one."""

    entries: int = 0
    bytes: int = 0
    largest: int = 0
    last: str = "-"

    def add(self, entries: int, size: int, largest: int, last: str) -> None:
        """Count some more."""
        self.entries += entries
        self.bytes += size
        self.largest = max(self.largest, largest)
        self.last = last


class Later(msgspec.Struct, frozen=True):
    """What is due later: how many, the first and the last of them, and their bytes (-1: not counted)."""

    entries: int
    first: bytes
    last: bytes
    bytes: int

    def is_as(self, other: Later) -> bool:
        """Whether nothing seems to have come or gone between the two."""
        return (self.entries, self.first, self.last) == (other.entries, other.first, other.last)


class _Instant(msgspec.Struct, frozen=True):
    """What the last step found at its instant. ``is_complete`` says that nothing was left to count."""

    is_complete: bool
    queued: int
    records: int
    later: Later
    counted: Counted


def moved(walked: Walked, there: int) -> int | None:
    """The most bytes that entries can have had which were counted and have left; None when some were not counted."""
    left = walked.entries - there
    return None if left < 0 else left * walked.largest


async def held(server: servers.RedisServer) -> Recounted:
    """What there is. It takes seconds when hundreds of thousands wait. Raises `errors.Unavailable`."""
    missing = await active.find_missing(server)
    counting = _Counting(server)
    later = await counting.count_later()
    for _ in range(_MOST_TRIES):
        await counting.walk()
        instant = await counting.sum_up()
        if instant.is_complete or counting.is_late:
            break
    return counting.as_found(instant, later, tuple(sorted(missing)))


class _Counting:
    """One count: how far it has come in each stream."""

    def __init__(self, server: servers.RedisServer) -> None:
        self._server = server
        self._walked: dict[str, Walked] = {}
        self._until_s = clock.steady_s() + _MOST_S

    @property
    def is_late(self) -> bool:
        """Whether this has gone on for long enough."""
        return clock.steady_s() > self._until_s

    async def walk(self) -> None:
        """Count what the streams hold, in steps."""
        for streams in _batches(await self._streams(), _STREAMS_AT_ONCE):
            while not await self._step(streams) and not self.is_late:
                pass

    async def count_later(self) -> Later:
        """Count what is due later, when that is too much for the last step; there one sees whether it has moved."""
        call, retrying = self._server.link.call, self._server.keys.retrying
        entries = await call("ZCARD", retrying)
        first, last = [(await call("ZRANGE", retrying, place, place) or [b""])[0] for place in (0, -1)]
        if entries <= STEP_ENTRIES:
            return Later(entries, first, last, -1)
        size = 0
        for start in range(0, entries, STEP_ENTRIES):
            size += await self._server.run("due_later", (retrying,), start, start + STEP_ENTRIES - 1)
        return Later(entries, first, last, size)

    async def sum_up(self) -> _Instant:
        """The last step."""
        is_complete, found, queued, records, later, size, first, last, *counted = await self._recount(
            tuple(self._walked), sums_up=True
        )
        self._take(found)
        return _Instant(bool(is_complete), queued, records, Later(later, first, last, size), tuple(counted))

    def as_found(self, instant: _Instant, before: Later, missing: tuple[str, ...]) -> Recounted:
        """What the count comes to."""
        records = self._server.keys.records
        queued = _sum(walked for stream, walked in self._walked.items() if stream != records)
        recorded = self._of(records)
        # Too many to count at one instant: what was counted before counts, if it seems not to have moved.
        later = before if instant.later.bytes < 0 and instant.later.is_as(before) else instant.later
        is_known = instant.is_complete and later.bytes >= 0
        entries, size, unrecorded = instant.counted
        return Recounted(
            entries=instant.queued + later.entries,
            bytes=queued.bytes + max(later.bytes, 0),
            unrecorded_bytes=recorded.bytes,
            counted_entries=entries,
            counted_bytes=size,
            counted_unrecorded_bytes=unrecorded,
            moved_bytes=moved(queued, instant.queued) if is_known else None,
            moved_unrecorded_bytes=moved(recorded, instant.records) if instant.is_complete else None,
            missing=missing,
        )

    async def _streams(self) -> list[str]:
        call, keys = self._server.link.call, self._server.keys
        queues = [queue for ref in await call("SMEMBERS", keys.active) for queue in keys.queues(ref.decode())]
        boxes = [keys.outbox(*box.decode().split(" ")) for box in await call("SMEMBERS", keys.outboxes)]
        return [*queues, *boxes, keys.records]

    async def _step(self, streams: Iterable[str]) -> bool:
        """Count some more; whether there was no more. Then leave Redis to others for as long as it took."""
        begun = clock.steady_s()
        is_complete, found = await self._recount(streams, sums_up=False)
        self._take(found)
        # So a count takes half of Redis at most, however fast or slow the machine.
        await asyncio.sleep(clock.steady_s() - begun)
        return bool(is_complete)

    async def _recount(self, streams: Iterable[str], *, sums_up: bool) -> list[Any]:
        keys = self._server.keys
        places = [part for stream in streams for part in (stream, self._of(stream).last)]
        fixed = (keys.prefix, STEP_ENTRIES, STEP_BYTES, int(sums_up), str(STEP_S))
        try:
            async with asyncio.timeout(_STEP_WITHIN_S):
                answer: list[Any] = await self._server.run(
                    "recount", (keys.refs, keys.held, keys.records), *fixed, *places
                )
        except TimeoutError as error:
            raise errors.Unavailable(f"Redis has not answered within {_STEP_WITHIN_S:g} s") from error
        return answer

    def _take(self, found: list[Any]) -> None:
        for stream, entries, size, largest, last in _batches(found, 5):
            self._of(stream.decode()).add(entries, size, largest, last.decode())

    def _of(self, stream: str) -> Walked:
        return self._walked.setdefault(stream, Walked())


def _may_be(counted: int, most: int, moved_bytes: int | None) -> bool:
    return moved_bytes is None or most - moved_bytes <= counted <= most


def _sum(walked: Iterable[Walked]) -> Walked:
    total = Walked()
    for one in walked:
        total.add(one.entries, one.bytes, one.largest, one.last)
    return total


def _batches(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
