"""A sync call through the queue: accepted, awaited, and settled when its caller goes before it ran."""

from __future__ import annotations

import asyncio
import time
from functools import partial

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
    accepted = asyncio.ensure_future(queue.enqueue(invocation))
    try:
        async with asyncio.timeout(within_ms / 1000):
            await asyncio.shield(accepted)  # what was sent is accepted, and its entry is needed to take it back
            return await expected
    except (TimeoutError, asyncio.CancelledError) as gone:
        record = unrun.rejected(invocation, memory_limit_mb, time.time_ns() // 1_000_000)
        accepted.add_done_callback(partial(_abandon, queue, invocation, record))
        if isinstance(gone, asyncio.CancelledError):
            raise
        raise errors.TimedOut(f"nothing ran {invocation.function} in time", hint="see `faas status`") from gone
    finally:
        expected.cancel()


def _abandon(
    queue: invocations.Queue, invocation: model.Invocation, record: model.Record, accepted: asyncio.Future[str | None]
) -> None:
    entry = None if accepted.cancelled() or accepted.exception() is not None else accepted.result()
    if entry is not None:
        queue.abandon(entry, invocation, record)
