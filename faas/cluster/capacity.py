"""How many slots each node says it has for a revision, and how much work waits for that revision."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from faas.queue import server as servers


class Need(msgspec.Struct, frozen=True):
    """What waits for a revision, and how many slots exist or are being made for it on all living nodes.

    ``is_anothers`` says that there is none yet, and that another node is about to make the first one.
    """

    waiting_sync: int
    waiting_async: int
    slots: int
    is_anothers: bool = False


async def look(server: servers.RedisServer, node: str, ref: str) -> Need:
    """What waits for a revision and how many slots there are for it. Raises `errors.Unavailable`.

    A node that finds that there is none is the one to make the first, for a second.
    """
    keys = server.keys
    names = (*keys.queues(ref), keys.nodes, keys.first(ref))
    waiting_sync, waiting_async, slots, is_anothers = await server.run("look", names, keys.prefix, ref, node)
    return Need(waiting_sync, waiting_async, slots, bool(is_anothers))


def publish(server: servers.RedisServer, node: str, ref: str, number: int) -> None:
    """Say how many slots a node has, or is making, for a revision. The lease bounds how long that is believed."""
    if number:
        server.link.tell("HSET", server.keys.slots(node), ref, number)
    else:
        server.link.tell("HDEL", server.keys.slots(node), ref)


def publish_all(server: servers.RedisServer, node: str, numbers: Mapping[str, int], lease_ms: int) -> None:
    """Say it of every revision anew, whatever became of what was said before (Redis was away, or full)."""
    tell, slots = server.link.tell, server.keys.slots(node)
    tell("MULTI")
    tell("DEL", slots)
    if any(numbers.values()):
        tell("HSET", slots, *(part for ref, number in numbers.items() if number for part in (ref, number)))
        tell("PEXPIRE", slots, lease_ms)
    tell("EXEC")
