"""The records on their way to the ledger: a stream read by recorders, whose entries leave only when they are stored.

An entry holds one record (``r``, with the invocation ``i`` of a dead one) or many (``b``). A recorder that comes back
finds what it had read before; what one that stays away had read, another takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec
import redis.asyncio
import redis.exceptions

from faas.core import clock, errors, model
from faas.link import client as redis_client
from faas.queue import keys as keyring
from faas.queue import scripted

_GROUP = "recorders"
_ABANDONED_MS = 60_000
_ANSWERS_WITHIN_S = 5
# What an entry is taken to hold until some were seen. It may be one record or hundreds, and what is read is in memory.
_PER_ENTRY = 20

_log = logging.getLogger("faas.recorder")
_encode = msgspec.msgpack.Encoder().encode
_record = msgspec.msgpack.Decoder(model.Record).decode
_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

Entry = tuple[bytes, Sequence[bytes] | None]
"""An entry's id, and its fields and values in turn; None when somebody has deleted it."""


class Batch(msgspec.Struct):
    """Records that were read together, and the entries that brought them."""

    records: list[model.Record] = msgspec.field(default_factory=list)
    packed: list[bytes] = msgspec.field(default_factory=list)
    """The msgpack of each record, as it came."""
    letters: dict[tuple[str, int], bytes] = msgspec.field(default_factory=dict)
    """The invocations (msgpack) of the dead ones among them, by id and attempt."""
    entries: list[str] = msgspec.field(default_factory=list)
    sizes: list[int] = msgspec.field(default_factory=list)
    more: bool = False
    """Whether others wait already."""

    def add(self, entry: bytes, fields: Sequence[bytes] | None) -> None:
        """Take what an entry holds. Raises `Unreadable`, and takes nothing then."""
        values = _values(fields or ())
        if b"b" in values:
            found, packed = _unpacked(values[b"b"])
            self.records += found
            self.packed += packed
        else:
            self._add_one(values)
        self.entries.append(entry.decode())
        self.sizes.append(sum(map(len, values.values())))

    def _add_one(self, values: dict[bytes, bytes]) -> None:
        try:
            record = _record(values[b"r"])
        except (msgspec.DecodeError, KeyError) as error:
            raise Unreadable(str(error)) from error
        self.records.append(record)
        self.packed.append(values[b"r"])
        if record.dead and b"i" in values:
            self.letters[record.invocation_id, record.attempt] = values[b"i"]


def _values(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    if len(fields) == 2:  # as nearly all; what serves for any number takes longer than decoding the record
        return {fields[0]: fields[1]}
    return dict(zip(fields[::2], fields[1::2], strict=True))


class Unreadable(Exception):
    """An entry holds what is no record. ``halves`` are what of it can be read and what cannot, as msgpack arrays."""

    def __init__(self, reason: str, halves: tuple[bytes, ...] = ()) -> None:
        super().__init__(reason)
        self.halves = halves


def _unpacked(array: bytes) -> tuple[list[model.Record], list[bytes]]:
    try:
        parts = _parts(array)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error
    try:
        return [_record(part) for part in parts], [bytes(part) for part in parts]
    except msgspec.DecodeError as error:
        raise _halved(parts, error) from error


def _halved(parts: Iterable[msgspec.Raw], error: Exception) -> Unreadable:
    good: list[msgspec.Raw] = []
    bad: list[msgspec.Raw] = []
    for part in parts:
        (good if _is_record(part) else bad).append(part)
    return Unreadable(str(error), (_encode(good), _encode(bad)) if good else ())


def _is_record(part: msgspec.Raw) -> bool:
    try:
        _record(part)
    except msgspec.DecodeError:
        return False
    return True


class RecordsReader:
    """One recorder's view of the records stream. What it read and did not call done comes first when it is back."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys, consumer: str, abandoned_ms: int) -> None:
        self._client = client
        for command in ("XREADGROUP", "XAUTOCLAIM"):
            # redis-py would make a dictionary of each entry, and it takes longer over that than the rest of a read.
            client.set_response_callback(command, _as_it_is)
        self._stream = keys.records
        self._held = keys.held
        self._unreadable = keys.unreadable
        self._consumer = consumer
        self._recovered = False
        self._abandoned_ms = abandoned_ms
        self._look_again_at = 0.0
        self._waiting: deque[Entry] = deque()
        self._per_entry = _PER_ENTRY

    @classmethod
    async def open(cls, redis_url: str, prefix: str, consumer: str, abandoned_ms: int = _ABANDONED_MS) -> RecordsReader:
        """Connect and make sure of the group. Raises `errors.Unavailable`.

        What another recorder read ``abandoned_ms`` ago and has not called done is this one's.
        """
        reader = cls(redis_client.connect(redis_url), keyring.Keys(prefix), consumer, abandoned_ms)
        try:
            async with _answered():
                await scripted.ensure_group(reader._client, reader._stream, _GROUP)
        except errors.Unavailable:
            await reader.close()
            raise
        return reader

    async def read(self, count: int, block_ms: int) -> Batch:
        """The oldest records, up to ``count`` or to the end of the entry that has that one; none after ``block_ms``.

        Call the batch before done first. The first reads give what this consumer had read before it died.
        Raises `errors.Unavailable`.
        """
        try:
            async with _answered(block_ms):
                return await self._read(count, block_ms)
        except errors.Unavailable:
            self._recovered = False
            self._waiting.clear()
            raise

    async def _read(self, count: int, block_ms: int) -> Batch:
        batch = Batch(more=True)
        if not self._waiting:
            asked = -(-count // self._per_entry)
            self._waiting.extend(await self._fetch(asked, block_ms))
            batch.more = len(self._waiting) >= asked
        while self._waiting and len(batch.records) < count:
            entry, fields = self._waiting.popleft()
            try:
                batch.add(entry, fields)
            except Unreadable as error:
                await self._set_aside(entry, error)
        if batch.records:
            self._per_entry = -(-len(batch.records) // len(batch.entries))
        return batch

    async def _fetch(self, count: int, block_ms: int) -> Sequence[Entry]:
        if not self._recovered:
            entries = await self._next("0", count, None)
            if entries:
                return entries
            self._recovered = True
        return await self._abandoned(count) or await self._next(">", count, block_ms)

    async def _next(self, start: str, count: int, block_ms: int | None) -> Sequence[Entry]:
        got = await self._client.xreadgroup(_GROUP, self._consumer, {self._stream: start}, count=count, block=block_ms)
        # One stream was asked for: it is the only one in the list (protocol 2) or dictionary (3) of streams.
        streams: Any = got.items() if isinstance(got, dict) else got or ()
        return [entry for _, entries in streams for entry in entries]

    async def _abandoned(self, count: int) -> Sequence[Entry]:
        """What a recorder that stays away had read; looked for now and then."""
        if clock.steady_s() < self._look_again_at:
            return ()
        got: Any = await self._client.xautoclaim(
            self._stream, _GROUP, self._consumer, min_idle_time=self._abandoned_ms, count=count
        )
        if not got[1]:
            self._look_again_at = clock.steady_s() + self._abandoned_ms / 1000
        return list(got[1])

    async def _set_aside(self, entry: bytes, error: Unreadable) -> None:
        """Move what no recorder can read out of the way of what they can, and keep it.

        What can be read of the entry comes back as an entry of its own.
        """
        _log.error("unreadable record set aside", extra={"entry": entry.decode(), "reason": str(error)})
        names = [self._stream, self._held, self._unreadable]
        await scripted.run(self._client, "set_aside", names, entry, str(error), *error.halves)

    async def done(self, batch: Batch) -> None:
        """The ledger has these: acknowledge and delete them in one step. Raises `errors.Unavailable`."""
        if not batch.entries:
            return
        names = [self._stream, self._held]
        async with _answered():
            await scripted.run(self._client, "recorded", names, _encode(batch.entries), _encode(batch.sizes))

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
