"""The records on their way to the ledger: a stream read by recorders, whose entries leave only when they are stored."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import redis.asyncio

from faas.core import errors, model
from faas.queue import client as redis_client
from faas.queue import keys as keyring
from faas.queue import streams

_GROUP = "recorders"

_log = logging.getLogger("faas.recorder")


class RecordsReader:
    """One recorder's view of the records stream. What it read and did not call done comes first when it is back."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys, consumer: str) -> None:
        self._client = client
        self._stream = keys.records
        self._unreadable = keys.unreadable
        self._consumer = consumer
        self._recovered = False
        self._decode = msgspec.msgpack.Decoder(model.Record).decode

    @classmethod
    async def open(cls, redis_url: str, prefix: str, consumer: str) -> RecordsReader:
        """Connect and make sure of the group. Raises `errors.Unavailable`."""
        reader = cls(redis_client.connect(redis_url), keyring.Keys(prefix), consumer)
        await redis_client.ensure_group(reader._client, reader._stream, _GROUP)
        return reader

    async def read(self, count: int, block_ms: int) -> list[tuple[str, model.Record]]:
        """Up to ``count`` entries as (stream id, record), oldest first; empty after ``block_ms`` without any.

        The first reads give what this consumer had read before it died. Raises `errors.Unavailable`.
        """
        try:
            with redis_client.translated():
                if not self._recovered:
                    entries = await self._next("0", count, None)
                    if entries:
                        return entries
                    self._recovered = True
                return await self._next(">", count, block_ms)
        except errors.Unavailable:
            self._recovered = False
            raise

    async def _next(self, start: str, count: int, block_ms: int | None) -> list[tuple[str, model.Record]]:
        got = await self._client.xreadgroup(_GROUP, self._consumer, {self._stream: start}, count=count, block=block_ms)
        records = []
        for entry, fields in streams.entries(got):
            try:
                records.append((entry.decode(), self._decode(fields[b"r"])))
            except (msgspec.DecodeError, KeyError) as error:
                await self._set_aside(entry, fields, error)
        return records

    async def _set_aside(self, entry: bytes, fields: dict[bytes, bytes], error: Exception) -> None:
        """Move what no recorder can read out of the way of what they can, and keep it."""
        _log.error("unreadable record set aside", extra={"entry": entry.decode(), "reason": str(error)})
        async with self._client.pipeline(transaction=True) as pipeline:
            aside: dict[Any, Any] = {**fields, b"reason": str(error).encode()}
            pipeline.xadd(self._unreadable, aside)
            pipeline.xack(self._stream, _GROUP, entry)
            pipeline.xdel(self._stream, entry)
            await pipeline.execute()

    async def done(self, stream_ids: list[str]) -> None:
        """The ledger has these: acknowledge and delete them in one step. Raises `errors.Unavailable`."""
        if not stream_ids:
            return
        with redis_client.translated():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xack(self._stream, _GROUP, *stream_ids)
                pipeline.xdel(self._stream, *stream_ids)
                await pipeline.execute()

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()
