"""What makes an acceptance happen once: fields of Redis hashes that are set in the same script."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from faas.queue import server as servers

_AT_ONCE = 500


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a guard's hash, and what it holds once the invocation is accepted.

    A plain guard refuses when the field already holds ``value`` (an object's version); a ``monotonic`` one refuses when
    the integer it holds is not smaller (a timer's due time).
    """

    key: str
    field: str
    value: str
    monotonic: bool = False


DEAD_LETTERS = "dead-letters"
"""The hash of what dead letters were sent again as: invocation to invocation, as long as the letter is there."""

NONE = Guard(key="none", field="", value="")
"""Refuses nothing."""


async def items(server: servers.RedisServer, key: str) -> dict[str, str]:
    """Every field of a guard's hash. Raises `errors.Unavailable`, as all here do."""
    flat = await server.link.call("HGETALL", server.keys.guard(key))
    texts = [item.decode() for item in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


async def item(server: servers.RedisServer, key: str, field: str) -> str | None:
    """One field of a guard's hash; None when there is none."""
    held = await server.link.call("HGET", server.keys.guard(key), field)
    return None if held is None else str(held.decode())


async def put(server: servers.RedisServer, key: str, field: str, value: str) -> None:
    """Set a guard without enqueueing (a timer that must not fire for the past)."""
    await server.link.call("HSET", server.keys.guard(key), field, value)


async def get(server: servers.RedisServer, key: str, field: str) -> str | None:
    """What a guard holds."""
    held = await server.link.call("HGET", server.keys.guard(key), field)
    return None if held is None else held.decode()


async def put_new(server: servers.RedisServer, key: str, values: Mapping[str, str]) -> None:
    """Set those guards that hold nothing yet."""
    name = server.keys.guard(key)
    fields = list(values)
    for at in range(0, len(fields), _AT_ONCE):
        some = fields[at : at + _AT_ONCE]
        await asyncio.gather(*(server.link.call("HSETNX", name, field, values[field]) for field in some))


async def drop(server: servers.RedisServer, key: str, field: str) -> None:
    """Forget a guard (an object was deleted)."""
    await server.link.call("HDEL", server.keys.guard(key), field)
