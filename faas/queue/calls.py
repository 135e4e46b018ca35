"""A sync call through the queue: accepted, awaited, and settled when its caller goes before it ran."""

from __future__ import annotations

import asyncio
import time

from faas.core import errors, model, unrun
from faas.queue import invocations, replies


async def outcome(
    queue: invocations.Queue,
    answers: replies.Replies,
    invocation: model.Invocation,
    *,
    memory_limit_mb: int,
    within_ms: int,
) -> model.Outcome:
    """Enqueue an invocation whose ``reply_to`` is the address of ``answers``, and await its outcome.

    When nothing ran it ``within_ms``, or the caller's task is cancelled, a call that still waits is settled as
    rejected; one that a node has claimed runs to its end. Raises `errors.TimedOut`, `errors.Throttled` or
    `errors.Unavailable`.
    """
    expected = answers.expect(invocation.id)
    entry = None
    try:
        async with asyncio.timeout(within_ms / 1000):
            entry = await queue.enqueue(invocation)
            return await expected
    except (TimeoutError, asyncio.CancelledError) as gone:
        if entry is not None:
            record = unrun.rejected(invocation, memory_limit_mb, time.time_ns() // 1_000_000)
            queue.abandon(entry, invocation, record)
        if isinstance(gone, asyncio.CancelledError):
            raise
        raise errors.TimedOut(f"nothing ran {invocation.function} in time", hint="see `faas status`") from gone
    finally:
        expected.cancel()
