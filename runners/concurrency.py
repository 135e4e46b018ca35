"""How many slots help a revision: decided by what more of them gained, measured.

By Little's law a revision with ``busy`` slots whose attempts take ``ms`` each ends ``busy / ms`` attempts a
millisecond. Attempts that wait (for a disk, a network, a clock) take as long beside many others as alone, so that twice
the slots end twice as many. Attempts that compute take longer the more of them share the processors, and nothing is
gained. So slots are doubled for as long as a doubling brought at least `LEAST_GAIN` of what it could have brought; an
adaptive limit like the gradient and AIMD limits of the literature, over levels of concurrency that are powers of
two.

What a level took is kept, because a level below the present one cannot be measured again; that a level gained nothing
is forgotten when it was not seen for `FORGOTTEN_S`, so that it may be tried again once its slots are gone. The
functions are pure; `Gains` only adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

LEAST_GAIN = 0.5
"""Of what a doubling of slots could have gained: less is noise, or not worth a sandbox."""

FORGOTTEN_S = 60.0
_PER_PROCESSOR = 2
_FEWEST = 8
_FEWEST_LONG = 2
_LONG_MS = 100.0
_WEIGHT = 0.5
_MOST_LEVELS = 16


class Level(msgspec.Struct, frozen=True):
    """Attempts that ended while about so many slots were all busy, and how long they took on average (ms)."""

    busy: float
    ms: float
    seen_at_s: float = 0.0

    @property
    def per_ms(self) -> float:
        """How many ended a millisecond."""
        return self.busy / self.ms


class Gains:
    """What one revision's attempts took while something waited, by how many slots it had when they ended."""

    def __init__(self) -> None:
        self._counts = [0] * _MOST_LEVELS
        self._busy = [0] * _MOST_LEVELS
        self._ms = [0.0] * _MOST_LEVELS
        self._levels: dict[int, Level] = {}

    def add(self, busy: int, ms: float) -> None:
        """An attempt has ended in one of so many busy slots."""
        # Levels are powers of two: 1, 2, 3 to 4, 5 to 8 and so on.
        level = min((busy - 1).bit_length(), _MOST_LEVELS - 1) if busy > 0 else 0
        self._counts[level] += 1
        self._busy[level] += max(busy, 1)
        self._ms[level] += ms

    def levels(self, now_s: float) -> Mapping[int, Level]:
        """What is known now; `now_s` is of a monotonic clock."""
        for level, count in enumerate(self._counts):
            # A level that was seen a few times says more about those few than about the level.
            if count and count >= _enough(self._ms[level] / count):
                found = Level(self._busy[level] / count, max(self._ms[level] / count, 1e-3), now_s)
                self._levels[level] = merged(self._levels.get(level), found)
                self._counts[level] = self._busy[level] = 0
                self._ms[level] = 0.0
        return self._levels


def _enough(mean_ms: float) -> int:
    return _FEWEST_LONG if mean_ms >= _LONG_MS else _FEWEST


def merged(before: Level | None, found: Level) -> Level:
    """What is known of a level, with what was found last."""
    if before is None:
        return found
    return Level(
        before.busy + (found.busy - before.busy) * _WEIGHT,
        before.ms + (found.ms - before.ms) * _WEIGHT,
        found.seen_at_s,
    )


def most_slots(
    levels: Mapping[int, Level], now_s: float, *, processors: int, attempt_ms: float, start_ms: float, most: int
) -> int:
    """How many slots a revision may have, ``most`` at most.

    Two for each processor always: between two attempts a slot waits for its node. Beyond that twice the highest level
    up to which each doubling gained enough. Attempts longer than a start do not wait until each level was measured:
    what is not known to gain nothing is tried. Without any measurement there is no limit: that is the burst of first
    calls.
    """
    if not levels:
        return most
    useful, gained = _useful(sorted(levels.items()), now_s)
    always = _PER_PROCESSOR * processors
    if not gained:
        return min(max(useful, always), most)
    if attempt_ms >= start_ms:
        return most
    return min(max(2 * useful, always), most)


def _useful(levels: Sequence[tuple[int, Level]], now_s: float) -> tuple[int, bool]:
    """The top of the highest level that was worth its slots, and whether no higher one was found to gain nothing."""
    key, best = levels[0]
    for higher, level in levels[1:]:
        could = level.busy / best.busy - 1
        if could > 0 and level.per_ms / best.per_ms - 1 < LEAST_GAIN * could:
            return 1 << key, now_s - level.seen_at_s > FORGOTTEN_S
        key, best = higher, level
    return 1 << key, True
