"""What has just ended: a look at the records on their way to the sinks, which takes nothing from them.

It is for people who watch. It begins with what ends next, and of more than can be looked at it leaves out some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import redis.asyncio
import redis.exceptions

from faas.core import errors, model
from faas.link import client as redis_client
from faas.queue import batches
from faas.queue import keys as keyring

_MOST_ENTRIES = 100
_ANSWERS_WITHIN_S = 5
_START = b"0-0"


class TailRecords(msgspec.Struct, frozen=True):
    """Records that ended, and whether others were left out to catch up."""

    records: list[model.Record]
    is_cut: bool


class Tail:
    """Follows the end of the records stream beside its readers."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys) -> None:
        self._client = client
        for command in ("XREAD", "XREVRANGE"):
            client.set_response_callback(command, _as_it_is)
        self._stream = keys.records
        self._after: bytes | None = None

    @classmethod
    async def open(cls, redis_url: str, prefix: str) -> Tail:
        """Over a connection of its own, made at the first read."""
        return cls(redis_client.connect(redis_url), keyring.Keys(prefix))

    async def read(self, block_ms: int) -> TailRecords:
        """What ended since the last read, as soon as there is some; nothing after ``block_ms``.

        Raises `errors.Unavailable`; what ends while Redis is away is not seen.
        """
        try:
            with redis_client.translated():
                async with asyncio.timeout(block_ms / 1000 + _ANSWERS_WITHIN_S):
                    return await self._read(block_ms)
        except TimeoutError as error:
            raise errors.Unavailable(f"Redis has not answered within {_ANSWERS_WITHIN_S} s") from error

    async def _read(self, block_ms: int) -> TailRecords:
        if self._after is None:
            self._after = await self._last()
        entries = _entries(await self._client.xread({self._stream: self._after}, _MOST_ENTRIES, block_ms))
        if not entries:
            return TailRecords([], False)
        is_cut = len(entries) == _MOST_ENTRIES
        # The rest is as many again, or more: who watches wants what ends now.
        self._after = await self._last() if is_cut else entries[-1][0]
        return TailRecords(_records(entries), is_cut)

    async def _last(self) -> bytes:
        """The place of the newest entry; of an empty stream its beginning, as nothing of it is there to be seen."""
        newest: Any = await self._client.xrevrange(self._stream, count=1)
        return newest[0][0] if newest else _START

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()


def _records(entries: Iterable[batches.Entry]) -> list[model.Record]:
    batch = batches.Batch()
    for entry, fields in entries:
        try:
            batch.add(entry, fields)
        except batches.Unreadable:  # the recorder sets it aside, with a line in the log
            continue
    return batch.records


def _entries(got: Any) -> list[batches.Entry]:
    """One stream was asked for: it is the only one in the list (protocol 2) or dictionary (3) of streams."""
    streams = got.items() if isinstance(got, dict) else got or ()
    return [entry for _, entries in streams for entry in entries]


def _as_it_is(response: Any, **_options: Any) -> Any:
    return response
