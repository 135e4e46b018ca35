"""The records on their way to the ledger: a stream read by recorders, whose entries leave only when they are stored.

A recorder that comes back finds what it had read before; what one that stays away had read, another takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable

import msgspec
import redis.asyncio
import redis.exceptions

from faas.core import errors, model
from faas.queue import client as redis_client
from faas.queue import keys as keyring
from faas.queue import streams

_GROUP = "recorders"
_ABANDONED_MS = 60_000
_ANSWERS_WITHIN_S = 5

_log = logging.getLogger("faas.recorder")


class RecordsReader:
    """One recorder's view of the records stream. What it read and did not call done comes first when it is back."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys, consumer: str, abandoned_ms: int) -> None:
        self._client = client
        self._stream = keys.records
        self._held = keys.held
        self._unreadable = keys.unreadable
        self._sizes: dict[str, int] = {}
        self._consumer = consumer
        self._recovered = False
        self._abandoned_ms = abandoned_ms
        self._look_again_at = 0.0
        self.letters: dict[tuple[str, int], bytes] = {}
        """The invocations (msgpack) of the dead records that were read and are not done, by id and attempt."""
        self._decode = msgspec.msgpack.Decoder(model.Record).decode

    @classmethod
    async def open(cls, redis_url: str, prefix: str, consumer: str, abandoned_ms: int = _ABANDONED_MS) -> RecordsReader:
        """Connect and make sure of the group. Raises `errors.Unavailable`.

        What another recorder read ``abandoned_ms`` ago and has not called done is this one's.
        """
        reader = cls(redis_client.connect(redis_url), keyring.Keys(prefix), consumer, abandoned_ms)
        try:
            async with _answered():
                await redis_client.ensure_group(reader._client, reader._stream, _GROUP)
        except errors.Unavailable:
            await reader.close()
            raise
        return reader

    async def read(self, count: int, block_ms: int) -> list[tuple[str, model.Record]]:
        """Up to ``count`` entries as (stream id, record), oldest first; empty after ``block_ms`` without any.

        The first reads give what this consumer had read before it died. Raises `errors.Unavailable`.
        """
        try:
            async with _answered(block_ms):
                if not self._recovered:
                    entries = await self._next("0", count, None)
                    if entries:
                        return entries
                    self._recovered = True
                return await self._abandoned(count) or await self._next(">", count, block_ms)
        except errors.Unavailable:
            self._recovered = False
            raise

    async def _next(self, start: str, count: int, block_ms: int | None) -> list[tuple[str, model.Record]]:
        got = await self._client.xreadgroup(_GROUP, self._consumer, {self._stream: start}, count=count, block=block_ms)
        return await self._readable(streams.entries(got))

    async def _abandoned(self, count: int) -> list[tuple[str, model.Record]]:
        """What a recorder that stays away had read; looked for now and then."""
        if time.monotonic() < self._look_again_at:
            return []
        got = await self._client.xautoclaim(
            self._stream, _GROUP, self._consumer, min_idle_time=self._abandoned_ms, count=count
        )
        found = await self._readable(got[1])
        if not found:
            self._look_again_at = time.monotonic() + self._abandoned_ms / 1000
        return found

    async def _readable(self, entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[tuple[str, model.Record]]:
        records = []
        for entry, fields in entries:
            try:
                record = self._decode(fields[b"r"])
                records.append((entry.decode(), record))
                self._sizes[entry.decode()] = sum(map(len, fields.values()))
                if record.dead and b"i" in fields:
                    self.letters[record.invocation_id, record.attempt] = fields[b"i"]
            except (msgspec.DecodeError, KeyError) as error:
                await self._set_aside(entry, error)
        return records

    async def _set_aside(self, entry: bytes, error: Exception) -> None:
        """Move what no recorder can read out of the way of what they can, and keep it."""
        _log.error("unreadable record set aside", extra={"entry": entry.decode(), "reason": str(error)})
        names = [self._stream, self._held, self._unreadable]
        await redis_client.run(self._client, "set_aside", names, entry, str(error))

    async def done(self, stream_ids: list[str]) -> None:
        """The ledger has these: acknowledge and delete them in one step. Raises `errors.Unavailable`."""
        if not stream_ids:
            return
        sized = [part for entry in stream_ids for part in (entry, self._sizes.get(entry, 0))]
        async with _answered():
            await redis_client.run(self._client, "recorded", [self._stream, self._held], *sized)
        self.letters.clear()
        self._sizes.clear()

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()


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
