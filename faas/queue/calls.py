"""A sync call through the queue: accepted, awaited, and settled when its caller goes before it ran."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from faas.core import clock, errors, model
from faas.core.calls import unrun
from faas.queue import accepting, invocations, replies

T = TypeVar("T")

ACCEPTED_WITHIN_S = 6
"""For how long a caller waits to hear that its call is in Redis; longer than `faas.queue.fsync` waits for the disk."""


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
    rejected; one that a node has claimed runs to its end. Raises `errors.NeverRan`, `errors.TimedOut`,
    `errors.Throttled` or `errors.Unavailable`.
    """
    # Before it is enqueued: its outcome comes over another connection, and may be here first.
    expected = answers.expect(invocation.id)
    entering = asyncio.ensure_future(queue.enqueue(invocation))
    try:
        async with asyncio.timeout(within_ms / 1000):
            # Shielded, because who leaves now must still learn whether Redis took the call: what it took has to be
            # given up there.
            await heard(asyncio.shield(entering))
            return await expected
    except TimeoutError as gone:
        rejected = unrun.rejected(invocation, memory_limit_mb, clock.now_ms())
        if await _has_waited(_settle_what_waits(queue, entering, rejected, invocation)):
            hint = "`faas doctor` tells what is amiss, `faas status` what else waits"
            raise errors.NeverRan(f"nothing ran {invocation.function} in time", hint=hint) from gone
        hint = f"it may run still: faas invocations show {invocation.id}"
        raise errors.TimedOut(f"{invocation.function} has not ended in time", hint=hint) from gone
    except (asyncio.CancelledError, errors.Unavailable):
        _settle_what_waits(queue, entering, unrun.rejected(invocation, memory_limit_mb, clock.now_ms()), invocation)
        raise
    finally:
        expected.cancel()


async def heard(answer: Awaitable[T]) -> T:
    """What Redis answers. Raises `errors.Unavailable` when it has not after `ACCEPTED_WITHIN_S`."""
    try:
        async with asyncio.timeout(ACCEPTED_WITHIN_S):
            return await answer
    except TimeoutError as error:
        raise errors.Unavailable(
            f"Redis has not answered within {ACCEPTED_WITHIN_S} s", hint="the call may run all the same"
        ) from error


def _settle_what_waits(
    queue: invocations.Queue,
    entering: asyncio.Future[str | None],
    record: model.Record,
    invocation: model.Invocation,
) -> asyncio.Future[Any] | None:
    """Give up a call, now or as soon as Redis says that it took it: nobody waits for its outcome any more.

    What Redis answers to that, when it is sent now.
    """

    def settle(accepted: asyncio.Future[str | None]) -> asyncio.Future[Any] | None:
        if not accepted.cancelled() and accepted.exception() is None and (entry := accepted.result()) is not None:
            return accepting.abandon(queue, entry, invocation, record)
        return None

    if entering.done():
        return settle(entering)
    entering.add_done_callback(settle)
    return None


async def _has_waited(given_up: asyncio.Future[Any] | None) -> bool:
    """Whether a call that was given up is known to have waited until then, so that nothing runs it any more."""
    if given_up is None:
        return False
    try:
        return bool(await heard(given_up))
    except errors.Unavailable:
        return False
