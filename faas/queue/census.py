"""Where all invocations are, at one instant, and what the queues hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from faas.core import model
from faas.queue import recount
from faas.queue import server as servers


class Places(msgspec.Struct, frozen=True):
    """Where the invocations of one revision are, and for how long the oldest that waits has been waiting."""

    counts: model.Counts
    oldest_waiting_ms: int


async def places(server: servers.RedisServer) -> dict[str, Places]:
    """The places of every revision's invocations. Raises `errors.Unavailable`."""
    return await _counted(server, server.keys.refs)


async def active_places(server: servers.RedisServer) -> dict[str, Places]:
    """The places of those revisions whose queues hold something, or did lately. Raises `errors.Unavailable`."""
    return await _counted(server, server.keys.active)


async def _counted(server: servers.RedisServer, refs: str) -> dict[str, Places]:
    flat = await server.run("counts", (refs,), server.keys.prefix)
    # Lua answers with a flat list: eight values a revision.
    rows = [flat[start : start + 8] for start in range(0, len(flat), 8)]
    return {
        ref.decode(): Places(
            model.Counts(accepted=accepted, waiting=waiting, running=running, retrying=retrying, done=done, dead=dead),
            oldest_ms,
        )
        for ref, accepted, waiting, running, retrying, done, dead, oldest_ms in rows
    }


def with_handed_off(counted: Mapping[str, Places], handed_off: Iterable[Mapping[str, int]]) -> dict[str, Places]:
    """The places, and what nodes run that was handed off to them: accepted and running, and not in Redis yet."""
    found = dict(counted)
    for of_node in handed_off:
        for ref, running in of_node.items():
            place = found.get(ref, Places(model.Counts(), 0))
            counts = msgspec.structs.replace(
                place.counts, accepted=place.counts.accepted + running, running=place.counts.running + running
            )
            found[ref] = msgspec.structs.replace(place, counts=counts)
    return found


async def held(server: servers.RedisServer) -> recount.Recounted:
    """What there is, counted while everything goes on (`faas.queue.recount`). Raises `errors.Unavailable`."""
    return await recount.held(server)


async def counted(server: servers.RedisServer) -> recount.Counted:
    """What the bounds' counter says. Raises `errors.Unavailable`."""
    found = await server.link.call("HMGET", server.keys.held, "entries", "bytes", "unrecorded")
    entries, size, unrecorded = (int(value or 0) for value in found)
    return entries, size, unrecorded


async def unrecorded_bytes(server: servers.RedisServer) -> int:
    """The bytes of records that are not in the ledger yet, as counted. Raises `errors.Unavailable`."""
    return int(await server.link.call("HGET", server.keys.held, "unrecorded") or 0)


async def unrecorded_shares(server: servers.RedisServer) -> dict[str, int]:
    """Bytes of records that wait for the ledger, by function. Raises `errors.Unavailable`."""
    flat = await server.link.call("HGETALL", f"{server.keys.held}:unrecorded")
    return {name.decode(): int(size) for name, size in zip(flat[::2], flat[1::2], strict=True)}
