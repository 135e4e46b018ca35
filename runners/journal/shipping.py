"""From the journal to Redis: what has ended goes there in batches, each of which counts once however often it is sent.

A batch says between which positions of the journal it lies, and Redis keeps up to where it has each journal. So a batch
whose answer was lost is sent again as it was. What has no room in memory while Redis is away is read from the files.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from faas.core import errors
from faas.queue import invocations
from faas.queue import shipping as moves
from runners.journal import reading, writer

EVERY_S = 0.01
AT_ONCE = 256
_AT_MOST = 1024
_BATCH_BYTES = 1024 * 1024
_HELD_BYTES = 8 * 1024 * 1024
_AGAIN_S = 0.2

_log = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode


class Shipper:
    """Ships one journal. ``told`` hears, with each answer, how many bytes of records wait for the ledger.

    It is told those of all functions, and of each that the answer is about.
    """

    def __init__(self, queue: invocations.Queue, told: Callable[[int, Mapping[str, int]], None]) -> None:
        self._queue = queue
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._journal: writer.Journal | None = None
        self._held: collections.deque[reading.EndedCall] = collections.deque()
        self._held_bytes = 0
        self._reads_files = False
        self._sent: moves.Shipment | None = None
        self._is_under_way = False
        self._is_put_off = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def attach(self, journal: writer.Journal) -> None:
        """Ship this journal."""
        self._journal = journal

    def add(self, ended: Sequence[reading.EndedCall]) -> None:
        """Take calls that have ended and are in the journal now."""
        self._idle.clear()
        # While files are read what comes is in them too, and would be sent twice from memory.
        if not self._reads_files:
            self._held.extend(ended)
            self._held_bytes += sum(len(one.record) for one in ended)
            if self._held_bytes > _HELD_BYTES:
                self._held.clear()
                self._held_bytes = 0
                self._reads_files = True
        self._ship_soon()

    async def shipped(self) -> None:
        """Wait until Redis has all that has ended."""
        await self._idle.wait()

    def close(self) -> None:
        """Send nothing more."""
        self._journal = None
        if self._timer is not None:
            self._timer.cancel()

    def _ship_soon(self) -> None:
        """Ship what there is: at once when it is much, else together with what comes in the next milliseconds."""
        if self._is_under_way or self._is_put_off:
            return
        if len(self._held) >= AT_ONCE or self._reads_files:
            self._ship()
        elif not self._held:
            self._idle.set()
        elif self._timer is None:
            self._timer = self._loop.call_later(EVERY_S, self._ship)

    def _try_later(self) -> None:
        """Redis is away, or refuses: however much comes meanwhile, nothing is sent before the time."""
        self._is_put_off = True
        self._timer = self._loop.call_later(_AGAIN_S, self._ship)

    def _ship(self) -> None:
        self._is_put_off = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._journal is None:
            return
        # Sent again as it was, whatever has come since: Redis may have taken it, and knows it by its ends.
        if self._sent is not None:
            self._send(self._sent)
        elif self._reads_files:
            self._read(self._journal)
        elif self._held:
            self._send(shipment(self._journal.folder.name, self._journal.mark, self._taken()))
        else:
            self._idle.set()

    def _send(self, batch: moves.Shipment) -> None:
        self._sent = batch
        self._is_under_way = True
        moves.send(self._queue, batch).add_done_callback(partial(self._answered, batch))

    def _read(self, journal: writer.Journal) -> None:
        self._is_under_way = True
        places = (journal.folder, journal.mark, journal.position, _BATCH_BYTES)
        # In a thread, because files of megabytes are read; the position is taken now, and what is written later read
        # later.
        reads = self._loop.run_in_executor(None, reading.ended, *places)
        reads.add_done_callback(partial(self._has_read, journal, journal.position))

    def _has_read(self, journal: writer.Journal, up_to: int, reads: asyncio.Future[list[reading.EndedCall]]) -> None:
        self._is_under_way = False
        if self._journal is None or reads.cancelled():
            return
        if (error := reads.exception()) is not None:
            _log.warning("journal_not_read", extra={"folder": str(journal.folder), "reason": str(error)})
            self._try_later()
        elif found := reads.result():
            self._send(shipment(journal.folder.name, journal.mark, found))
        else:
            # All that is written was read: what is written from now on is held in memory again.
            self._reads_files = journal.position > up_to
            self._ship_soon()

    def _taken(self) -> list[reading.EndedCall]:
        taken: list[reading.EndedCall] = []
        size = 0
        while self._held and len(taken) < _AT_MOST and size < _BATCH_BYTES:
            one = self._held.popleft()
            taken.append(one)
            size += len(one.record)
        self._held_bytes -= size
        return taken

    def _answered(self, batch: moves.Shipment, answer: asyncio.Future[Any]) -> None:
        self._is_under_way = False
        journal = self._journal
        if journal is None:
            return
        if answer.cancelled() or answer.exception() is not None:
            self._try_later()
            return
        said = moves.shipped(answer.result(), batch)
        self._told(said.unrecorded_bytes, said.own_unrecorded_bytes)
        journal.shipped(said.mark)
        if said.mark < batch.end:
            # Redis has taken a part of it before, in another batch: what is behind that is read anew.
            self._held.clear()
            self._held_bytes = 0
            self._reads_files = True
        self._sent = None
        self._ship_soon()


async def ship_rest(queue: invocations.Queue, folder: Path, mark: int, end: int) -> None:
    """Ship a journal that nobody writes any more, up to its end. Raises `errors.Unavailable` and `OSError`."""
    while found := reading.ended(folder, mark, end, _BATCH_BYTES):
        batch = shipment(folder.name, mark, found)
        said = moves.shipped(await moves.send(queue, batch), batch)
        if said.mark < found[-1].end:
            raise errors.Unavailable(f"Redis did not take what {folder} holds")
        mark = said.mark


def shipment(journal: str, start: int, ended: Sequence[reading.EndedCall]) -> moves.Shipment:
    """A batch of what has ended."""
    records = _encode([msgspec.Raw(one.record) for one in ended])
    sizes: collections.Counter[str] = collections.Counter()
    for one in ended:
        sizes[one.ref] += len(one.record)
    sizes[ended[0].ref] += len(records) - sum(sizes.values())  # the head of the array is counted too
    return moves.Shipment(
        journal=journal,
        start=start,
        end=ended[-1].end,
        records=records,
        counts=collections.Counter(one.ref for one in ended),
        sizes=sizes,
    )
