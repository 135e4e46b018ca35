"""Invocations that wait until they are due again: after an attempt that another follows, and back into their queue."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from faas.core import model
from faas.queue import invocations
from faas.queue import server as servers

_encode = msgspec.msgpack.Encoder().encode


def send(
    queue: invocations.Queue, claim: invocations.Claim, record: model.Record, again: model.Invocation, after_ms: int
) -> asyncio.Future[Any]:
    """End an attempt with a record and let the invocation wait, as ``again``, until it is due.

    Sent before it returns; `invocations.finished` reads the answer, as that to a batch of one.
    """
    keys, ref = queue.keys, again.ref
    # Cut, because it is for whoever asks meanwhile; the record has all of it.
    why = f"{record.error.type}: {record.error.message[:500]}" if record.error else str(record.status)
    return queue.run(
        "retry",
        (
            keys.queue(ref, again.mode),
            keys.records,
            keys.retrying,
            keys.retrying_of(ref),
            *keys.queues(ref),
            keys.held,
            *keys.call_of(again),
        ),
        claim.entry,
        _encode(record),
        again.id,
        _encode(again),
        after_ms,
        member(again),
        why,
        again.function,
        again.caller or "",
    )


async def move_due(server: servers.RedisServer, most: int = 100) -> tuple[int, int | None]:
    """Put what has come due back into its queue: how many, and in how many ms the next is due (None: never).

    Raises `errors.Unavailable`.
    """
    keys = server.keys
    moved, next_ms = await server.run("due", (keys.retrying, keys.demand), keys.prefix, most)
    return moved, None if next_ms < 0 else next_ms


def member(invocation: model.Invocation) -> str:
    """What stands for the invocation among those that are due at a time."""
    return f"{invocation.mode} {invocation.ref} {invocation.id}"
