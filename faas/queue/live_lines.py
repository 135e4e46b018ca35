"""Lines that are shown while their attempt runs: nodes publish them as long as somebody says that he wants them.

::

    control API ──want, each second──► every node
    control API ◄──lines, as they are printed── nodes that run what is wanted

Nothing of it is kept, and nothing is promised: what is lost on the way is in the ledger when the attempt has ended.
While nobody wants any, a node publishes none and asks Redis nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
import redis.asyncio

from faas.core import model
from faas.core.values import unreadable
from faas.link import client as redis_client
from faas.queue import keys as keyring

WANTED_FOR_S = 4.0
"""How long a want holds when it is not said again."""


class Want(msgspec.Struct, frozen=True, array_like=True):
    """Whose lines somebody wants: those of some functions, or of all (None). ``by`` tells who, ``for_ms`` how long."""

    by: str
    functions: tuple[str, ...] | None
    for_ms: int


class PrintedNow(msgspec.Struct, frozen=True, array_like=True):
    """Lines of one attempt that have just been printed; ``root_id`` is the first invocation of its chain."""

    function: str
    revision: int
    invocation_id: str
    attempt: int
    root_id: str
    lines: tuple[model.LogLine, ...]


packed = msgspec.msgpack.Encoder().encode
_want = msgspec.msgpack.Decoder(Want).decode
_printed = msgspec.msgpack.Decoder(tuple[PrintedNow, ...]).decode


class _Channel:
    """What is published on one channel, over a connection of its own, made at the first read."""

    def __init__(self, url: str, name: str) -> None:
        self._client = redis_client.connect(url)
        self._name = name
        self._heard = self._client.pubsub(ignore_subscribe_messages=True)

    async def next(self, within_s: float | None = None) -> bytes | None:
        """The next message; None when none comes within so long. Raises `errors.Unavailable`."""
        with redis_client.translated():
            if not self._heard.subscribed:
                await self._heard.subscribe(self._name)
            message: dict[str, Any] | None = await self._heard.get_message(timeout=within_s)
        return None if message is None else bytes(message["data"])

    async def close(self) -> None:
        """Drop the connection."""
        with contextlib.suppress(redis.RedisError, OSError):
            await self._heard.aclose()  # type: ignore[no-untyped-call]
        await self._client.aclose()


class Wants:
    """What a node hears of: who wants whose lines."""

    def __init__(self, url: str, keys: keyring.Keys) -> None:
        self._channel = _Channel(url, keys.wanted_lines)

    async def next(self, within_s: float | None) -> Want | None:
        """The next want; None when none comes within so long, or what came is none. Raises `errors.Unavailable`."""
        message = await self._channel.next(within_s)
        try:
            return None if message is None else _want(message)
        except unreadable.ERRORS:
            return None

    async def close(self) -> None:
        """Drop the connection."""
        await self._channel.close()


class HeardLines:
    """What a control API hears of: lines as they are printed. What it wants it says itself."""

    def __init__(self, url: str, keys: keyring.Keys) -> None:
        self._keys = keys
        self._client: redis.asyncio.Redis = redis_client.connect(url)
        self._channel = _Channel(url, keys.live_lines)

    async def want(self, want: Want) -> None:
        """Tell all nodes. Raises `errors.Unavailable`."""
        with redis_client.translated():
            await self._client.publish(self._keys.wanted_lines, packed(want))

    async def next(self, within_s: float | None = None) -> Sequence[PrintedNow]:
        """Lines that were printed, as soon as there are some; none when none come within so long.

        Raises `errors.Unavailable`.
        """
        message = await self._channel.next(within_s)
        try:
            return () if message is None else _printed(message)
        except unreadable.ERRORS:
            return ()

    async def close(self) -> None:
        """Drop both connections."""
        await asyncio.gather(self._channel.close(), self._client.aclose())
