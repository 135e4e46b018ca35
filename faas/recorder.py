"""The recorder: moves records from Redis to the ledger. A record leaves Redis only after its commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import sqlalchemy as sa

from faas.core import errors
from faas.core import settings as settings_module
from faas.queue import records
from faas.store import database, ledger

_BATCH = 2_000
_BLOCK_MS = 500
_GATHER_S = 0.2
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_log = logging.getLogger(__name__)


async def run(settings: settings_module.Settings, stop: asyncio.Event) -> None:
    """Record until ``stop`` is set. While Redis or SQL is away (or the disk full), say so once, wait and go on."""
    outage = _Outage(stop)
    engine: sa.Engine | None = None
    try:
        while not stop.is_set():
            try:
                if engine is None:
                    engine = await asyncio.to_thread(database.open_database, settings)
                await _record_all(settings, ledger.Ledger(engine), outage)
            except (errors.Unavailable, sa.exc.DBAPIError) as error:
                await outage.wait(error)
    finally:
        if engine is not None:
            await asyncio.to_thread(engine.dispose)


async def _record_all(settings: settings_module.Settings, book: ledger.Ledger, outage: _Outage) -> None:
    """Record until told to stop. A reader starts with what the one before it had read and not recorded."""
    reader = await records.RecordsReader.open(settings.redis_url, settings.redis_prefix, socket.gethostname())
    try:
        while not outage.stop.is_set():
            batch = await _record(reader, book)
            outage.over()
            if batch.records and not batch.more:
                # A commit costs the same for one record as for hundreds, and where there was one more will follow.
                await _pause(outage.stop, _GATHER_S)
    finally:
        await reader.close()


class _Outage:
    """A time in which nothing can be recorded: one line when it begins, one when it is over, longer pauses between."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop
        self._tries = 0

    async def wait(self, error: Exception) -> None:
        """Pause before the next try, or until told to stop."""
        if self._tries == 0:
            _log.warning("recorder_waits", extra={"reason": str(error).partition("\n")[0]})
        pause_s = _BACKOFF_S[min(self._tries, len(_BACKOFF_S) - 1)]
        self._tries += 1
        await _pause(self.stop, pause_s)

    def over(self) -> None:
        """Something was recorded, or nothing was there to record."""
        if self._tries:
            _log.info("recorder_goes_on", extra={"tries": self._tries})
        self._tries = 0


async def _record(reader: records.RecordsReader, book: ledger.Ledger) -> records.Batch:
    batch = await reader.read(_BATCH, _BLOCK_MS)
    if batch.records:
        await asyncio.to_thread(book.commit, batch.records, batch.packed, batch.letters)
    await reader.done(batch)
    return batch


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
