"""Forgetting in Redis what is past its time: revisions that serve no longer, and marks of dead letters that are gone.

What a function's forgotten revisions did is counted on under the number 0, which no revision has, so that the sums of a
function stay as they were. It is one more ref among all others: nothing waits there, and its counts agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from faas.core import model
from faas.queue import server as servers

FORGOTTEN = 0
"""The number of the ref that counts on for revisions that were forgotten."""


async def refs(server: servers.RedisServer) -> list[str]:
    """The revisions of which Redis holds something. Raises `errors.Unavailable`, as all here do."""
    return sorted(ref.decode() for ref in await server.link.call("SMEMBERS", server.keys.refs))


async def retire(server: servers.RedisServer, ref: str, *, counted_on: bool) -> bool:
    """Forget a revision; False, and nothing done, while something of it is in any place or a node has a slot for it.

    ``counted_on`` is whether its function goes on: then so do the function's sums.
    """
    keys, name = server.keys, ref.rpartition("@")[0]
    forgotten = f"{name}@{FORGOTTEN}"
    nodes = [node.decode() for node in await server.link.call("SMEMBERS", keys.nodes)]
    answer = await server.run(
        "retire",
        (
            *(keys.queue(ref, mode) for mode in (model.Mode.SYNC, model.Mode.ASYNC)),
            keys.retrying_of(ref),
            *(keys.outbox(ref, way) for way in ("success", "failure")),
            keys.counts(ref),
            keys.refs,
            keys.counts(forgotten),
            *(keys.slots(node) for node in nodes),
        ),
        ref,
        forgotten if counted_on else "",
    )
    return bool(answer == 1)


async def last_record(server: servers.RedisServer) -> str:
    """The newest entry of the records stream: what is in the ledger by now came with it or before it. '' for none."""
    found = await server.link.call("XREVRANGE", server.keys.records, "+", "-", "COUNT", 1)
    return str(found[0][0].decode()) if found else ""


async def have_left(server: servers.RedisServer, last: str) -> bool:
    """Whether no entry up to ``last`` is left: what these brought is in the ledger, and comes never again."""
    # Ids only grow, and an entry leaves when every sink has committed it: with all up to here gone, nothing can bring
    # back a record.
    return last == "" or not await server.link.call("XRANGE", server.keys.records, "-", last, "COUNT", 1)


async def drop_marks(server: servers.RedisServer, guard: str, fields: Sequence[str]) -> None:
    """Forget what dead letters were sent again as."""
    if fields:
        await server.link.call("HDEL", server.keys.guard(guard), *fields)
