"""What follows an attempt: the invocation is settled, tried again after a while, or dead. Pure functions.

======================  ==================================================================================
how it ended            what follows
======================  ==================================================================================
``ok``, ``rejected``    settled
``lost``                another attempt, `MOST_LOST` at most: it may be what kills sandboxes. The second comes at
                        once, the third after `lost_again_ms`: what took two may be an engine that is being stopped
what ``on`` names       another after the backoff, ``maximum_retry_attempts`` more at most
``DoNotRetry``          dead
``RetryAfter(s)``       another after that time, within the same bounds
======================  ==================================================================================

Nothing is tried again past ``maximum_event_age_ms``. "Dead" is for those with nobody waiting; a caller who waits gets
the failure as the answer.
"""

from __future__ import annotations

import enum

import msgspec

from faas.core import model

MOST_LOST = 3
"""An invocation whose sandbox or node was lost in its attempt of this number is not run again."""

LOST_AGAIN_MS = 5_000
"""Least wait after a second loss; twice that is the longest."""

LONGEST_BACKOFF_MS = 300_000
"""Where the doubling of the backoff ends."""


class Wish(msgspec.Struct, frozen=True):
    """What the handler's exception asks for: no further attempt, or one after so many milliseconds."""

    never: bool = False
    after_ms: int | None = None


class Next(enum.StrEnum):
    """What becomes of the invocation."""

    SETTLE = "settle"
    RETRY = "retry"
    DEAD = "dead"


class Decision(msgspec.Struct, frozen=True):
    """The next step, for a retry how long it waits, and otherwise why the invocation is settled."""

    next: Next
    after_ms: int = 0
    condition: model.Condition = model.Condition.RETRIES_EXHAUSTED


class EndedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the attempt that ended. ``age_ms`` counts from the invocation's acceptance."""

    attempt: int
    mode: model.Mode
    status: model.Status
    age_ms: int
    wish: Wish | None = None


def policy(config: model.FunctionConfig, mode: model.Mode, trigger_place: int | None = None) -> model.Retries | None:
    """The rules for such an invocation, its trigger's before its function's; None when it is never tried again."""
    if mode is not model.Mode.ASYNC and not config.idempotent:
        return None
    own = None if trigger_place is None else config.triggers[trigger_place].retries
    return own or config.retries


def decide(ended: EndedAttempt, retries: model.Retries, draw: float) -> Decision:
    """What follows. ``draw`` is a random number from 0 up to 1: the backoff is that part of its bound."""
    if ended.status is model.Status.OK:
        return Decision(Next.SETTLE, condition=model.Condition.SUCCESS)
    if ended.status is model.Status.REJECTED:
        return Decision(Next.SETTLE)
    after_ms = _after_ms(ended, retries, draw)
    if after_ms is not None and ended.age_ms + after_ms <= retries.maximum_event_age_ms:
        return Decision(Next.RETRY, after_ms)
    why = model.Condition.RETRIES_EXHAUSTED if after_ms is None else model.Condition.EVENT_AGE_EXCEEDED
    return Decision(Next.DEAD if ended.mode is model.Mode.ASYNC else Next.SETTLE, condition=why)


def _after_ms(ended: EndedAttempt, retries: model.Retries, draw: float) -> int | None:
    # By rules of its own, whatever the function says: it was not its fault, and may have been its doing.
    if ended.status is model.Status.LOST:
        return lost_again_ms(ended.attempt, draw) if ended.attempt < MOST_LOST else None
    wish = ended.wish or Wish()
    if wish.never or ended.status not in retries.on or ended.attempt > retries.maximum_retry_attempts:
        return None
    return backoff_ms(ended.attempt, retries.backoff_ms, draw) if wish.after_ms is None else wish.after_ms


def lost_again_ms(attempt: int, draw: float) -> int:
    """How long one that was lost waits for its next attempt; jittered, so that not all come back together."""
    return 0 if attempt == 1 else LOST_AGAIN_MS + int(draw * LOST_AGAIN_MS)


def backoff_ms(attempt: int, base_ms: int, draw: float) -> int:
    """Exponential with full jitter: anything up to ``base_ms`` after the first attempt, twice that after the second."""
    # A shift by what anybody may configure would make a number of any size.
    bound_ms = min(base_ms << min(attempt - 1, 32), LONGEST_BACKOFF_MS)
    return int(draw * bound_ms)
