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
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_log = logging.getLogger(__name__)


async def run(settings: settings_module.Settings, stop: asyncio.Event) -> None:
    """Record until ``stop`` is set. While Redis or SQL is away (or the disk full), say so once, wait and go on."""
    engine = await asyncio.to_thread(database.open_database, settings)
    book = ledger.Ledger(engine)
    failures = 0
    reader: records.RecordsReader | None = None
    try:
        while not stop.is_set():
            try:
                if reader is None:
                    reader = await _open(settings)
                await _record(reader, book)
            except (errors.Unavailable, sa.exc.OperationalError) as error:
                if failures == 0:
                    _log.warning("recorder waits", extra={"action": "wait", "reason": str(error)})
                # A new reader starts with what this one had read and not recorded.
                if reader is not None:
                    await reader.close()
                    reader = None
                await _pause(stop, _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                failures += 1
            else:
                failures = 0
    finally:
        if reader is not None:
            await reader.close()
        await asyncio.to_thread(engine.dispose)


async def _open(settings: settings_module.Settings) -> records.RecordsReader:
    return await records.RecordsReader.open(settings.redis_url, settings.redis_prefix, socket.gethostname())


async def _record(reader: records.RecordsReader, book: ledger.Ledger) -> None:
    batch = await reader.read(_BATCH, _BLOCK_MS)
    if batch:
        await asyncio.to_thread(book.commit, batch)
        await reader.done([stream_id for stream_id, _ in batch])


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
