"""Take over what a dead node had claimed, so that those invocations wait again.

Calls that were handed off to the node are in its journal, and not here.

Every living node looks for dead ones (`faas.cluster.watch`). The scripts make it harmless when two nodes take over the
same entry, or when the node was only paused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from faas.core import clock, model
from faas.core.calls import retry, unrun
from faas.queue import destined, invocations
from faas.queue import keys as keyring

_PAGE = 100


async def dead_nodes(queue: invocations.Queue) -> list[str]:
    """Nodes that may hold claims and have no lease by Redis's clock. Raises `errors.Unavailable`.

    For whoever looks once, and at a clock that did not jump; nodes go by `faas.cluster.watch`.
    """
    return [name for name in await holders(queue) if not await queue.link.call("EXISTS", queue.keys.node(name))]


async def take_over(queue: invocations.Queue, node: str, lease: bytes = b"") -> int:
    """Release (or settle) all that a dead node had claimed, then forget the node; how many invocations it held.

    ``lease`` is the one with which it was found dead, when Redis may have it still.
    """
    refs = sorted(ref.decode() for ref in await queue.link.call("SMEMBERS", queue.keys.refs))
    taken = 0
    for ref in refs:
        for mode in model.Mode:
            taken += await _claimed(queue, node, queue.keys.queue(ref, mode))
    await _bury(queue, node, lease)
    return taken


async def claims_since(queue: invocations.Queue, node: str, ref: str, idle_ms: int) -> list[invocations.Claim]:
    """What a node claimed so long ago at least and has not settled. Raises `errors.Unavailable`."""
    found: list[invocations.Claim] = []
    for stream in queue.keys.queues(ref):
        held = await queue.link.call("XPENDING", stream, keyring.GROUP, "IDLE", idle_ms, "-", "+", _PAGE, node)
        for entry, *_ in held:
            found += await _read(queue, stream, await queue.link.call("XRANGE", stream, entry, entry))
    return found


async def forget(queue: invocations.Queue, node: str, stream: str) -> bool:
    """Delete a dead node's consumer of a queue stream; False, and nothing done, while it holds entries."""
    return bool(await queue.run("forget", (stream,), node) == 1)


def may_run_again(invocation: model.Invocation) -> bool:
    """Whether a lost attempt is followed by another."""
    return invocation.attempt < retry.MOST_LOST


def next_attempt(invocation: model.Invocation) -> model.Invocation:
    """The invocation as it waits again."""
    return msgspec.structs.replace(invocation, attempt=invocation.attempt + 1)


async def holders(queue: invocations.Queue) -> list[str]:
    """The nodes that may hold claims, alive or dead."""
    found = await queue.run("holders", (queue.keys.refs, queue.keys.nodes), queue.keys.prefix)
    return sorted(name.decode() for name in found)


async def _bury(queue: invocations.Queue, node: str, lease: bytes) -> None:
    """Forget a dead node that has been taken over, unless it is alive after all.

    It is alive when its lease is another than ``lease``, the one with which it was found dead.
    """
    keys = queue.keys
    await queue.run("bury", (keys.nodes, keys.node(node), keys.slots(node)), node, lease)


async def _claimed(queue: invocations.Queue, node: str, stream: str) -> int:
    taken = 0
    # Page by page, and the consumer last: one that is deleted with entries takes them along.
    while not await forget(queue, node, stream):
        page = await queue.link.call("XPENDING", stream, keyring.GROUP, "-", "+", _PAGE, node)
        for entry, *_ in page:
            await _requeue(queue, node, stream, entry.decode())
        taken += len(page)
    return taken


async def _requeue(queue: invocations.Queue, node: str, stream: str, entry: str) -> None:
    found = await queue.link.call("XRANGE", stream, entry, entry)
    if not found:
        # Its entry was deleted, and only the claim is left.
        await queue.link.call("XACK", stream, keyring.GROUP, entry)
        return
    for claim in await _read(queue, stream, found):
        await _release(queue, node, claim)


async def _read(queue: invocations.Queue, stream: str, found: list[list[Any]]) -> list[invocations.Claim]:
    """The claim of an entry that was found; none, and the entry is put aside, when it is no invocation."""
    claims = invocations.claims(found)
    for entry, _ in found if not claims else ():
        await queue.set_aside(stream, entry.decode())
    return claims


async def _release(queue: invocations.Queue, node: str, claim: invocations.Claim) -> None:
    invocation = claim.invocation
    if not may_run_again(invocation):
        record = _lost(invocation, node, final=True)
        # A caller who waits shall not wait for nothing, and who asks later shall find why.
        reply = msgspec.msgpack.encode(model.Outcome(record=record)) if _is_awaited(invocation) else b""
        # Whether the revision has a destination is not known here: whoever delivers drops what is for none.
        settled = destined.settled(record, model.Condition.RETRIES_EXHAUSTED) if record.dead else None
        await queue.finish_claimed(claim, record, node=node, reply=reply, settled=settled)
        return
    await queue.release(claim, record=_lost(invocation, node, final=False), again=next_attempt(invocation))


def _is_awaited(invocation: model.Invocation) -> bool:
    return invocation.mode is model.Mode.ASYNC or invocation.reply_to is not None


def _lost(invocation: model.Invocation, node: str, *, final: bool) -> model.Record:
    return unrun.lost(invocation, node, clock.now_ms(), final=final)
