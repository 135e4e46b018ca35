"""What is past its time, and how much of it goes at once. Pure functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from faas.core import keeping
from faas.store import past

DAY_MS = keeping.DAY_MS
FIRST_ROWS = 200
_MOST_ROWS = 2_000
FEWEST_ROWS = 5
"""What a first step has where a row may be megabytes."""

_STEP_S = 0.02
_LONG_S = 0.1
_SHARE = 4
"""A step is followed by a pause of so many times its length, in which recorders have the database to themselves."""


def cut_ms(now_ms: int, keep_ms: int) -> int | None:
    """The moment before which things are past their time; None when they are kept for ever."""
    return now_ms - keep_ms if keep_ms else None


def rollups_cut_ms(now_ms: int, keep_ms: int) -> int | None:
    """Up to when figures by the minute and hour go: only whole days of them, which have sums of their own."""
    before_ms = cut_ms(now_ms, keep_ms)
    return None if before_ms is None else before_ms // DAY_MS * DAY_MS


def next_rows(rows: int, took_s: float, usual: int = FIRST_ROWS) -> int:
    """How many rows the next step has, after one of ``rows`` took so long: what fits into a fiftieth of a second.

    It grows to the double at most, so that one quick step does not make the next one long. Below ``usual`` it goes only
    after a step of a tenth of a second.
    """
    fitting = int(rows * _STEP_S / max(took_s, 1e-6))
    # Besides its rows a step costs some milliseconds, and many on a busy machine: one of fewer rows takes as long then,
    # and steps that shrink after each such one end at a few rows, with a pause after each.
    fewest = usual if took_s < _LONG_S else FEWEST_ROWS
    return max(FEWEST_ROWS, min(_MOST_ROWS, 2 * rows, max(fewest, fitting)))


def pause_s(took_s: float) -> float:
    """How long to leave the database to others after a step."""
    return min(1.0, _SHARE * took_s)


def superfluous(rows: Iterable[past.Row], keep: int, keep_ms: Callable[[str], int], now_ms: int) -> list[past.Row]:
    """The revisions that may go if nothing needs them: neither among a function's last ``keep`` nor young.

    The age of a revision counts from the one that replaced it, that of a function's last one from its own making. One
    that is current, or newer than the current one (a deploy is trying it), is not among them. ``rows`` are by function
    and number; ``keep_ms`` tells for how long those of a function are kept, 0 is for ever.
    """
    found: list[past.Row] = []
    for function, group in itertools.groupby(rows, key=lambda row: row.function):
        before_ms = cut_ms(now_ms, keep_ms(function))
        if keep and before_ms is not None:
            found += _of_function(list(group), keep, before_ms)
    return found


def _of_function(rows: Sequence[past.Row], keep: int, before_ms: int) -> list[past.Row]:
    later = [*rows[1:], rows[-1]]
    old = [row for row, by in zip(rows, later, strict=True) if by.created_at_ms < before_ms]
    current = rows[0].current
    if current is None:  # the function was removed; a number of last ones would stay for ever
        return old
    last = set(rows[-keep:])
    return [row for row in old if row.number < current and row not in last]
