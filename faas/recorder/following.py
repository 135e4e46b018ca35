"""One sink follows the stream of records: read, commit, say so. What ails it is waited for and delays no other."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec

from faas.core import errors
from faas.queue import batches, cursors, records
from faas.recorder import port

_BATCH = 2_000
_BLOCK_MS = 500
_GATHER_S = 0.2
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_log = logging.getLogger("faas.recorder")


class RecordSource(msgspec.Struct, frozen=True):
    """Where records come from. Past ``room_bytes`` of them sinks that may miss some do.

    ``recorder`` is the name of the one who reads, which no other that lives has (`faas.recorder.places`).
    """

    redis_url: str
    prefix: str
    room_bytes: int
    recorder: str

    async def reader(self, cursor: cursors.Cursor) -> records.RecordsReader:
        """A sink's view of the stream. It starts with what the one before it read and did not commit."""
        return await records.RecordsReader.open(
            self.redis_url, self.prefix, self.recorder, cursor=cursor, room_bytes=self.room_bytes
        )


async def follow(source: RecordSource, sink: port.Sink, cursor: cursors.Cursor, stop: asyncio.Event) -> None:
    """Give a sink all records until ``stop`` is set. While Redis or the sink is away, say so once, wait and go on."""
    outage = _Outage(stop, sink.name)
    is_open = False
    try:
        while not stop.is_set():
            try:
                if not is_open:
                    await asyncio.to_thread(sink.open)
                    is_open = True
                await _commit_all(source, sink, cursor, outage)
            except errors.Unavailable as error:
                await outage.wait(error.message)
            except Exception as error:  # noqa: BLE001 - whatever ails one sink, the others go on; this one tries again
                _log.exception("sink_failed", extra={"sink": sink.name})
                await outage.wait(f"{type(error).__name__}: {error}")
    finally:
        if is_open:
            await asyncio.to_thread(_close, sink)


def _close(sink: port.Sink) -> None:
    try:
        sink.close()
    except Exception:  # noqa: BLE001 - what is committed is; the others have not ended yet
        _log.exception("sink_not_closed", extra={"sink": sink.name})


async def _commit_all(source: RecordSource, sink: port.Sink, cursor: cursors.Cursor, outage: _Outage) -> None:
    reader = await source.reader(cursor)
    try:
        while not outage.stop.is_set():
            batch = await _commit(reader, sink)
            outage.over()
            if batch.records and not batch.more:
                # A commit costs the same for one record as for hundreds, and where there was one more will follow.
                await pause(outage.stop, _GATHER_S)
    finally:
        await reader.close()


async def _commit(reader: records.RecordsReader, sink: port.Sink) -> batches.Batch:
    batch = await reader.read(_BATCH, _BLOCK_MS)
    if batch.missed:
        _log.warning("records_missed", extra={"sink": sink.name, "entries": batch.missed})
    if batch.records or batch.printed:
        async with reader.holding(batch):
            await asyncio.to_thread(sink.commit, batch)
    await reader.done(batch)
    return batch


class _Outage:
    """A time in which a sink gets no records: one line when it begins, one when it is over, longer pauses between."""

    def __init__(self, stop: asyncio.Event, sink: str) -> None:
        self.stop = stop
        self._sink = sink
        self._tries = 0

    async def wait(self, reason: str) -> None:
        """Pause before the next try, or until told to stop."""
        if self._tries == 0:
            _log.warning("recorder_waits", extra={"sink": self._sink, "reason": reason.partition("\n")[0]})
        pause_s = _BACKOFF_S[min(self._tries, len(_BACKOFF_S) - 1)]
        self._tries += 1
        await pause(self.stop, pause_s)

    def over(self) -> None:
        """Something was committed, or nothing was there to commit."""
        if self._tries:
            _log.info("recorder_goes_on", extra={"sink": self._sink, "tries": self._tries})
        self._tries = 0


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for ``stop``, so long at most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
