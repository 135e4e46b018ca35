"""All sinks of one recorder, each following the stream of records at a pace of its own.

::

    records (Redis) ──group "recorders"──► ledger ──┐
                    ├─group "sink:…"─────► …       ─┴─► every sink has committed ──► the entry leaves Redis
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import redis.asyncio as redis_py

from faas.core import errors, groups
from faas.link import client as redis_client
from faas.queue import cursors
from faas.queue import keys as keyring
from faas.recorder import following, ledger, places, port

_SWEEP_EVERY_S = 2.0
_log = logging.getLogger("faas.recorder")


async def run(
    data: groups.Data,
    redis: groups.Redis,
    queues: groups.Queues,
    stop: asyncio.Event,
    beside: Sequence[port.Sink] = (),
    on_committed: ledger.OnCommitted | None = None,
) -> None:
    """Record until ``stop`` is set: to the ledger, and to the sinks ``beside`` it.

    ``on_committed`` is told what the ledger has, in the thread that wrote it.

    Every recorder of a platform has the same sinks: which one starts last says for whom records are kept. Raises
    ValueError when two have one name: they would share a cursor, and each would get a part.
    """
    # Past half of what may wait for the ledger there is no room for what others may miss.
    room_bytes = queues.max_unrecorded_bytes // 2
    sinks = {cursors.of(sink.name, may_miss=sink.may_miss): sink for sink in beside}
    # A cursor is known by its name.
    if len(sinks) < len(beside):
        raise ValueError(f"two sinks have one name: {sorted(sink.name for sink in beside)}")
    with places.taken(data.root) as name:
        source = following.RecordSource(redis.redis_url, redis.redis_prefix, room_bytes, name)
        async with asyncio.TaskGroup() as running:
            for cursor, sink in (cursors.LEDGER, ledger.LedgerSink(data, on_committed)), *sinks.items():
                running.create_task(following.follow(source, sink, cursor, stop), name=f"sink {sink.name}")
            running.create_task(_keep_room(source, list(sinks), stop), name="room for records")


async def _keep_room(source: following.RecordSource, wanted: list[cursors.Cursor], stop: asyncio.Event) -> None:
    """Remove what is kept for a sink that is no more; and, for ever, what there is no room to keep for some."""
    keys, client = keyring.Keys(source.prefix), redis_client.connect(source.redis_url)
    is_told = False
    try:
        while not stop.is_set():
            try:
                if not is_told:
                    await _tell(client, keys, wanted)
                    await cursors.let_go(client, keys, source.room_bytes)
                    is_told = True
                # Only sinks that may miss records are swept for: for the ledger all is kept.
                elif any(cursor.may_miss for cursor in wanted):
                    await _make_room(client, keys, source.room_bytes)
                else:
                    return
            except errors.Unavailable as error:
                _log.debug("room_not_kept", extra={"reason": error.message})
            await following.pause(stop, _SWEEP_EVERY_S)
    finally:
        await client.aclose()


async def _tell(client: redis_py.Redis, keys: keyring.Keys, wanted: list[cursors.Cursor]) -> None:
    for gone in await cursors.keep_only(client, keys, wanted):
        _log.warning("sink_is_no_more", extra={"sink": gone})


async def _make_room(client: redis_py.Redis, keys: keyring.Keys, room_bytes: int) -> None:
    if not await cursors.is_full(client, keys, room_bytes):
        return
    if removed := await cursors.let_go(client, keys, room_bytes):
        _log.warning("records_not_kept_for_all_sinks", extra={"entries": removed})
