"""Steps that accept one invocation alone: with a guard, a key or a delay; to settle it at once; to give it up again.

Plain ones are accepted together with what else comes in a turn (`faas.queue.together`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from faas.core import model
from faas.queue import bounds as limits
from faas.queue import destined, guards
from faas.queue import keys as keyring
from faas.queue import server as servers

_encode = msgspec.msgpack.Encoder().encode


class Once(msgspec.Struct, frozen=True):
    """The idempotency key that an async invocation was claimed with, and for how long it stands for it."""

    name: str
    keep_ms: int


async def enqueue(
    server: servers.RedisServer,
    bounds: limits.Bounds,
    invocation: model.Invocation,
    guard: guards.Guard,
    delay_ms: int,
    once: Once | None,
) -> str | None:
    """Accept an invocation; its stream entry, or None when its guard says that this was done before.

    `faas.queue.invocations.Queue.enqueue` says the rest. Raises `errors.Throttled` or `errors.Unavailable`.
    """
    ref, mode = invocation.ref, invocation.mode
    # Only an async one can be asked for later: it alone has a call, and may be due at a time.
    asked = mode is model.Mode.ASYNC
    answer = await server.run(
        "enqueue_once",
        _entrance_keys(server.keys, invocation, guard, once),
        ref,
        _encode(invocation),
        bounds.waiting(mode),
        guard.field,
        guard.value,
        int(guard.monotonic),
        bounds.total,
        bounds.total_bytes,
        bounds.unrecorded_bytes,
        invocation.function,
        invocation.caller or "",
        *((invocation.id, delay_ms) if asked else ()),
        *((once.keep_ms,) if once else ()),
    )
    limits.check(answer, bounds, ref, mode)
    return answer[1].decode() if answer[0] == b"ok" else None


def _entrance_keys(
    names: keyring.Keys, invocation: model.Invocation, guard: guards.Guard, once: Once | None
) -> tuple[str, ...]:
    ref, mode = invocation.ref, invocation.mode
    asked = mode is model.Mode.ASYNC
    return (
        names.queue(ref, mode),
        # Whichever comes first makes both queues: a parked read waits at both, and fails where one is missing.
        names.queue(ref, model.Mode.SYNC if asked else model.Mode.ASYNC),
        names.refs,
        names.counts(ref),
        names.demand,
        names.demanded(ref),
        names.guard(guard.key),
        names.held,
        *((names.call(invocation.id), names.retrying, names.retrying_of(ref)) if asked else ()),
        *((names.once(once.name), names.answers) if once else ()),
    )


async def refuse(
    server: servers.RedisServer,
    invocation: model.Invocation,
    record: model.Record,
    guard: guards.Guard,
    settled: destined.Settled | None = None,
) -> bool:
    """Accept an invocation that shall not run and settle it with its record; False when this was done before.

    The guard must be a plain one, or `guards.NONE`. ``settled`` is for its destination, when it has one. Raises
    `errors.Unavailable`.
    """
    ref, names = invocation.ref, server.keys
    fixed = (*names.queues(ref), names.refs, names.counts(ref), names.records, names.guard(guard.key), names.held)
    outbox = (names.outbox(settled.record_ref, settled.way), names.outboxes) if settled else ()
    answer = await server.run(
        "refuse",
        (*fixed, *outbox),
        ref,
        _encode(record),
        "dead" if record.dead else "done",
        guard.field,
        guard.value,
        _encode(invocation),
        *((_encode(settled), settled.outbox, invocation.function) if settled else ()),
    )
    return bool(answer == 1)


def abandon(
    server: servers.RedisServer, entry: str, invocation: model.Invocation, record: model.Record
) -> asyncio.Future[Any]:
    """Settle a waiting call whose caller has gone; 0 when a node has claimed it, which then runs it to its end.

    Sent before it returns, so that a task that is being cancelled need not await it. It raises `errors.Unavailable`.
    """
    ref, keys = invocation.ref, server.keys
    names = (keys.queue(ref, invocation.mode), keys.counts(ref), keys.records, keys.held)
    return server.run("abandon", names, entry, _encode(record), invocation.function, invocation.caller or "")
