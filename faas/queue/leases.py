"""What a dead node leaves behind: its queued claims wait again, its handed-off calls are settled as lost.

A node is dead when its lease, a key that lives `settings.lease_ms` past its last renewal, is gone. Every living node
looks for dead ones; the scripts make it harmless when two take over the same entry, or when the node was only paused.
"""

from __future__ import annotations

import time

import msgspec

from faas.core import model, retry, unrun
from faas.queue import destined, invocations
from faas.queue import keys as keyring

_PAGE = 100


async def dead_nodes(queue: invocations.Queue) -> list[str]:
    """Nodes that may hold claims and whose lease is gone. Raises `errors.Unavailable`."""
    return [name for name in await queue.holders() if not await queue.link.call("EXISTS", queue.keys.node(name))]


async def take_over(queue: invocations.Queue, node: str) -> int:
    """Settle or release all that a dead node held, then forget the node; how many invocations it held."""
    refs = sorted(ref.decode() for ref in await queue.link.call("SMEMBERS", queue.keys.refs))
    taken = await _handed_off(queue, node)
    for ref in refs:
        for mode in model.Mode:
            taken += await _claimed(queue, node, queue.keys.queue(ref, mode))
    await queue.bury(node)
    return taken


def may_run_again(invocation: model.Invocation) -> bool:
    """Whether a lost attempt is followed by another."""
    return invocation.attempt < retry.MOST_LOST


def next_attempt(invocation: model.Invocation) -> model.Invocation:
    """The invocation as it waits again."""
    return msgspec.structs.replace(invocation, attempt=invocation.attempt + 1)


async def _handed_off(queue: invocations.Queue, node: str) -> int:
    flat = await queue.link.call("HGETALL", queue.keys.running(node))
    for field, packed in zip(flat[::2], flat[1::2], strict=True):
        invocation = msgspec.msgpack.decode(packed, type=model.Invocation)
        await queue.settle_lost(node, field.decode(), invocation.ref, _lost(invocation, node, final=True))
    return len(flat) // 2


async def _claimed(queue: invocations.Queue, node: str, stream: str) -> int:
    taken = 0
    while not await queue.forget(node, stream):
        page = await queue.link.call("XPENDING", stream, keyring.GROUP, "-", "+", _PAGE, node)
        for entry, *_ in page:
            await _requeue(queue, node, stream, entry.decode())
        taken += len(page)
    return taken


async def _requeue(queue: invocations.Queue, node: str, stream: str, entry: str) -> None:
    found = await queue.link.call("XRANGE", stream, entry, entry)
    if not found:
        await queue.link.call("XACK", stream, keyring.GROUP, entry)
        return
    invocation = msgspec.msgpack.decode(found[0][1][1], type=model.Invocation)
    claim = invocations.Claim(entry, invocation)
    if not may_run_again(invocation):
        record = _lost(invocation, node, final=True)
        # Whether the revision has a destination is not known here: whoever delivers drops what is for none.
        settled = destined.settled(record, model.Condition.RETRIES_EXHAUSTED) if record.dead else None
        await queue.finish_claimed(claim, record, node=node, settled=settled)
        return
    await queue.release(claim, record=_lost(invocation, node, final=False), again=next_attempt(invocation))


def _lost(invocation: model.Invocation, node: str, *, final: bool) -> model.Record:
    return unrun.lost(invocation, node, time.time_ns() // 1_000_000, final=final)
