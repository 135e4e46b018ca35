"""How long an idle slot is kept, and how many slots a revision should have. Pure functions, no clock, no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence

_COVERED = 0.95
_MARGIN = 1.5

SOON_MS = 5.0
"""What a call may wait for its turn without anything being done about it: less than a new slot would ever save."""


def keep_ms(gaps_ms: Sequence[int], *, least_ms: int, most_ms: int) -> int:
    """How long an idle slot is kept: half as long again as 95 in 100 of the function's recent gaps between calls.

    Without a history it is ``least_ms``. A gap that no sandbox could bridge within ``most_ms`` is not paid for, so
    gaps longer than that do not count; when most are, keeping is pointless and ``least_ms`` holds.
    """
    bridgeable = sorted(gap for gap in gaps_ms if gap <= most_ms)
    if len(bridgeable) * 2 <= len(gaps_ms) or not bridgeable:
        return least_ms
    covered = bridgeable[min(len(bridgeable) - 1, math.floor(len(bridgeable) * _COVERED))]
    return max(least_ms, min(most_ms, math.ceil(covered * _MARGIN)))


def slots_to_make(
    *,
    waiting: int,
    waiting_sync: int,
    slots: int,
    making: int,
    attempt_ms: float,
    start_ms: float,
    lasted_ms: float,
    most: int,
) -> int:
    """How many slots to make now for a revision, beyond the ``slots`` that exist or are being made.

    While no attempt has ended yet, one for each waiting entry beyond the slots (the burst of first calls). After that,
    as many as bring the last waiting entry its turn before a new slot could have been started: a queue in front of a
    handler of a millisecond starts nothing, and one call behind a handler of a minute does. When a queue has not gone
    away for as long as a start takes, as many as bring the last sync call its turn within `SOON_MS`. Where attempts are
    shorter than a start, at most twice as many as there were: more cannot be told from what such a queue shows, and
    every start takes processor time from the attempts.

    ``waiting_sync`` is how much of ``waiting`` has a caller who waits, ``making`` how many of the slots are on their
    way, each of which takes one entry from what waits; ``attempt_ms`` is the mean length of recent attempts (or the age
    of the running one, if longer), 0 when none is known; ``start_ms`` what a slot costs to start, ``lasted_ms`` for how
    long something has been waiting although no slot was being made, ``most`` the function's max_concurrency.
    """
    if attempt_ms <= 0 or slots == 0:
        wanted = waiting - slots
    else:
        in_time = math.ceil(waiting * attempt_ms / max(start_ms, SOON_MS)) - slots
        lasting = math.ceil(waiting_sync * attempt_ms / SOON_MS) - slots if lasted_ms >= start_ms else 0
        wanted = min(max(in_time, min(lasting, slots)), waiting - making)
        if attempt_ms < start_ms:
            wanted = min(wanted, slots - making)
    return max(min(wanted, most - slots), 0)
