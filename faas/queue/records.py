"""The records on their way to the sinks: a stream whose entries leave only when every sink has committed them.

An entry holds one record (``r``, with the invocation ``i`` of a dead one) or many (``b``), or what a sandbox printed
between attempts (``o``). A recorder that comes back finds what it had read before; what one that stays away had read,
another takes over. So two that live may not read under one name, and who takes long over a batch says that it is still
at work on it (`RecordsReader.holding`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import redis.asyncio
import redis.exceptions

from faas.core import clock, errors
from faas.link import client as redis_client
from faas.queue import batches, cursors, scripted
from faas.queue import keys as keyring

_ABANDONED_MS = 60_000
_ANSWERS_WITHIN_S = 5
# A claim is renewed when so much of the time has gone after which another recorder takes it over.
_RENEW_AT = 4
# Beside another sink each entry costs Redis some microseconds, in which it serves nobody else.
_DONE_AT_ONCE = 1_000
# What an entry is taken to hold until some were seen. It may be one record or hundreds, and what is read is in memory.
_PER_ENTRY = 20

_log = logging.getLogger("faas.recorder")
_encode = msgspec.msgpack.Encoder().encode


class RecordsReader:
    """One sink's view of the records stream. What it read and did not call done comes first when it is back."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        keys: keyring.Keys,
        cursor: cursors.Cursor,
        consumer: str,
        *,
        abandoned_ms: int,
        room_bytes: int,
    ) -> None:
        self._client = client
        for command in ("XREADGROUP", "XAUTOCLAIM"):
            # redis-py would make a dictionary of each entry, and it takes longer over that than the rest of a read.
            client.set_response_callback(command, _as_it_is)
        self._stream = keys.records
        self._held = keys.held
        self._sinks = keys.sinks
        self._unreadable = keys.unreadable
        self._group = cursor.group
        self._room_bytes = room_bytes
        self._consumer = consumer
        self._recovered = False
        self._abandoned_ms = abandoned_ms
        self._look_again_at = 0.0
        self._read_at_s = 0.0
        self._waiting: deque[batches.Entry] = deque()
        self._per_entry = _PER_ENTRY

    @classmethod
    async def open(
        cls,
        redis_url: str,
        prefix: str,
        consumer: str,
        abandoned_ms: int = _ABANDONED_MS,
        *,
        cursor: cursors.Cursor = cursors.LEDGER,
        room_bytes: int = cursors.NO_BOUND,
    ) -> RecordsReader:
        """Connect and make sure of the cursor. Raises `errors.Unavailable`.

        No other that lives may be the same ``consumer``: it would be given what that one is at work on. What another
        recorder read ``abandoned_ms`` ago and has not called done, nor held since, is this one's. Past ``room_bytes``
        of records nothing stays in the stream for sinks that may miss some.
        """
        keys = keyring.Keys(prefix)
        client = redis_client.connect(redis_url)
        reader = cls(client, keys, cursor, consumer, abandoned_ms=abandoned_ms, room_bytes=room_bytes)
        try:
            async with _answered():
                await cursors.ensure(client, keys, cursor)
        except errors.Unavailable:
            await reader.close()
            raise
        return reader

    async def read(self, count: int, block_ms: int) -> batches.Batch:
        """The oldest records, up to ``count`` or to the end of the entry that has that one; none after ``block_ms``.

        Call the batch before done first. The first reads give what this consumer had read before it died.
        Raises `errors.Unavailable`.
        """
        try:
            async with _answered(block_ms):
                return await self._read(count, block_ms)
        except errors.Unavailable:
            self._begin_again()
            raise

    def _begin_again(self) -> None:
        self._recovered = False
        self._waiting.clear()

    @contextlib.asynccontextmanager
    async def holding(self, batch: batches.Batch) -> AsyncIterator[None]:
        """A time in which a batch is committed: however long it takes, no other recorder takes over what was read."""
        renewing = asyncio.create_task(self._renew(batch), name=f"claims of {self._consumer}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, batch: batches.Batch) -> None:
        while True:
            await asyncio.sleep(self._abandoned_ms / 1000 / _RENEW_AT)
            # Redis is away: whether the batch is still ours shows when it is called done.
            with contextlib.suppress(errors.Unavailable):
                async with _answered():
                    await self._keeps(batch)

    async def _keeps(self, batch: batches.Batch) -> bool:
        """Whether all that was read is still this recorder's; from now on it is for as long as after a read."""
        began_s = clock.steady_s()
        ids = [*batch.entries, *(entry.decode() for entry, _ in self._waiting)]
        own = 0
        for first in range(0, len(ids), _DONE_AT_ONCE):
            some = _encode(ids[first : first + _DONE_AT_ONCE])
            own += await scripted.run(self._client, "hold", [self._stream], self._group, self._consumer, some)
        self._read_at_s = began_s
        return own == len(ids)

    async def _read(self, count: int, block_ms: int) -> batches.Batch:
        batch = await self._next_batch(count, block_ms)
        is_old = clock.steady_s() - self._read_at_s > self._abandoned_ms / 1000 / _RENEW_AT
        if batch.entries and is_old and not await self._keeps(batch):
            # Another has taken some of it over. What is still ours comes again.
            self._begin_again()
            return batches.Batch(more=True)
        return batch

    async def _next_batch(self, count: int, block_ms: int) -> batches.Batch:
        batch = batches.Batch(more=True)
        if not self._waiting:
            asked = -(-count // self._per_entry)
            self._read_at_s = clock.steady_s()
            self._waiting.extend(await self._fetch(asked, block_ms))
            # As many as were asked for: others wait behind them, most likely.
            batch.more = len(self._waiting) >= asked
        while self._waiting and len(batch.records) < count:
            entry, fields = self._waiting.popleft()
            try:
                batch.add(entry, fields)
            except batches.Unreadable as error:
                await self._set_aside(entry, error)
        if batch.records:
            self._per_entry = -(-len(batch.records) // len(batch.entries))
        return batch

    async def _fetch(self, count: int, block_ms: int) -> Sequence[batches.Entry]:
        if not self._recovered:
            # From 0 on stands what this consumer has read and not called done; `>` is what nobody has read.
            entries = await self._next("0", count, None)
            if entries:
                return entries
            self._recovered = True
        return await self._abandoned(count) or await self._next(">", count, block_ms)

    async def _next(self, start: str, count: int, block_ms: int | None) -> Sequence[batches.Entry]:
        got = await self._client.xreadgroup(
            self._group, self._consumer, {self._stream: start}, count=count, block=block_ms
        )
        # One stream was asked for: it is the only one in the list (protocol 2) or dictionary (3) of streams.
        streams: Any = got.items() if isinstance(got, dict) else got or ()
        return [entry for _, entries in streams for entry in entries]

    async def _abandoned(self, count: int) -> Sequence[batches.Entry]:
        """What a recorder that stays away had read; looked for now and then."""
        if clock.steady_s() < self._look_again_at:
            return ()
        got: Any = await self._client.xautoclaim(
            self._stream, self._group, self._consumer, min_idle_time=self._abandoned_ms, count=count
        )
        if not got[1]:
            self._look_again_at = clock.steady_s() + self._abandoned_ms / 1000
        return list(got[1])

    async def _set_aside(self, entry: bytes, error: batches.Unreadable) -> None:
        """Move what no recorder can read out of the way of what they can, and keep it.

        What can be read of the entry comes back as an entry of its own.
        """
        _log.error("unreadable record set aside", extra={"entry": entry.decode(), "reason": str(error)})
        names = [self._stream, self._held, self._unreadable]
        await scripted.run(self._client, "set_aside", names, self._group, entry, str(error), *error.halves)

    async def done(self, batch: batches.Batch) -> None:
        """The sink has these: they leave the stream unless another has yet to commit them. `errors.Unavailable`."""
        # Sizes go along, because Redis copies an entry to count its bytes.
        names = [self._stream, self._held, self._sinks]
        for first in range(0, len(batch.entries), _DONE_AT_ONCE):
            entries = _encode(batch.entries[first : first + _DONE_AT_ONCE])
            sizes = _encode(batch.sizes[first : first + _DONE_AT_ONCE])
            args: list[str | bytes | int] = [self._room_bytes, entries, sizes, self._group]
            if self._group == cursors.LEDGER.group:
                args.append(_encode(batch.owners[first : first + _DONE_AT_ONCE]))
            async with _answered():
                missed = await scripted.run(self._client, "recorded", names, *args)
            if missed:
                _log.warning("records_not_kept_for_all_sinks", extra={"entries": missed})

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()


def _as_it_is(response: Any, **_options: Any) -> Any:
    return response


@contextlib.asynccontextmanager
async def _answered(block_ms: int = 0) -> AsyncIterator[None]:
    """Raise `errors.Unavailable` when Redis is away, or is there and does not answer what it was not asked to block."""
    within_s = block_ms / 1000 + _ANSWERS_WITHIN_S
    try:
        with redis_client.translated():
            async with asyncio.timeout(within_s):
                yield
    except TimeoutError as error:
        raise errors.Unavailable(f"Redis has not answered within {within_s:g} s") from error
    except redis.exceptions.ResponseError as error:  # somebody deleted the stream: the next reader makes it again
        raise errors.Unavailable(f"Redis refuses: {error}") from error
