"""How far each sink of records has come: a consumer group of the records stream, made at 0.

The ledger has one always. `keys.Keys.sinks` names the others, and whether an entry waits for them: what is named there
keeps entries in Redis, so a sink that is no more has to be taken out of it (`keep_only`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import redis.asyncio
import redis.exceptions

from faas.core import errors
from faas.link import client as redis_client
from faas.queue import keys as keyring
from faas.queue import scripted

NO_BOUND = 1 << 62
_LOOK_AT = 500
"""Entries that one step looks at when it removes what was kept for nobody."""


class Cursor(msgspec.Struct, frozen=True):
    """One sink's place in the stream. Entries wait for it, unless it ``may_miss`` some when there is little room."""

    group: str
    may_miss: bool = False


LEDGER = Cursor("recorders")


def of(name: str, *, may_miss: bool) -> Cursor:
    """The cursor of a sink that is not the ledger."""
    return Cursor(f"sink:{name}", may_miss)


async def ensure(client: redis.asyncio.Redis, keys: keyring.Keys, cursor: Cursor) -> None:
    """Make sure of a cursor, also when Redis is full, and that entries wait for it. Raises `errors.Unavailable`."""
    # Every entry waits for the ledger, whatever the hash of sinks says.
    if cursor != LEDGER:
        await scripted.run(client, "wait_for", [keys.sinks], cursor.group, "may" if cursor.may_miss else "must")
    await scripted.ensure_group(client, keys.records, cursor.group)


async def keep_only(client: redis.asyncio.Redis, keys: keyring.Keys, wanted: Collection[Cursor]) -> list[str]:
    """Let no entry wait for other sinks than these and the ledger; whom they waited for. Raises `errors.Unavailable`.

    Entries that were kept for them alone leave with `let_go`.
    """
    names = [keys.sinks, keys.records]
    gone = await _run(client, "keep_only", names, *(cursor.group for cursor in wanted))
    return [group.decode() for group in gone]


async def is_full(client: redis.asyncio.Redis, keys: keyring.Keys, room_bytes: int) -> bool:
    """Whether more bytes of records wait than there is room for. Raises `errors.Unavailable`."""
    with redis_client.translated():
        return int(await client.hget(keys.held, "unrecorded") or 0) > room_bytes


async def let_go(client: redis.asyncio.Redis, keys: keyring.Keys, room_bytes: int) -> int:
    """Remove entries that no sink has yet to commit, in small steps; how many. Raises `errors.Unavailable`."""
    names, start, removed = [keys.records, keys.held, keys.sinks], b"-", 0
    while start:
        count, start = await _run(client, "let_go", names, room_bytes, start, _LOOK_AT)
        removed += count
    return removed


async def _run(client: redis.asyncio.Redis, script: str, names: list[str], *args: str | bytes | int) -> Any:
    try:
        return await scripted.run(client, script, names, *args)
    except redis.exceptions.ResponseError as error:  # a key of another type, say: somebody else writes here
        raise errors.Unavailable(f"Redis refuses: {error}") from error
