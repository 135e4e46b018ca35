"""Which stored spans make up a time that is asked for; pure functions.

Figures are stored by minute, hour and day (UTC). A time is read from the largest that fit into it, and begins and ends
on a step: whole days for four weeks and more, whole hours for two days and more, whole minutes else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
ALL = (DAY_MS, HOUR_MS, MINUTE_MS)
"""The stored spans, the largest first."""

OPEN_MS = 253_402_300_800_000
"""The end of a time that has not ended: the year 10000, which is later than any record."""

_STEPS = ((28 * DAY_MS, DAY_MS), (2 * DAY_MS, HOUR_MS))


class Piece(NamedTuple):
    """All stored spans of one length that begin in ``[since_ms, until_ms)``."""

    span_ms: int
    since_ms: int
    until_ms: int


class Times(NamedTuple):
    """A time on its step, and how it is cut up: ``every_ms`` is None when it is not."""

    since_ms: int
    until_ms: int
    every_ms: int | None = None


def aligned(since_ms: int, until_ms: int, now_ms: int, gone: Mapping[int, int]) -> Times:
    """The time as it can be read. What ends now or later is open: what is stored of today is all of it.

    ``gone`` are the moments before which spans of a length were removed; there the next longer ones are read.
    """
    length_ms = min(until_ms, now_ms) - since_ms
    step_ms = next((step for least, step in _STEPS if length_ms >= least), MINUTE_MS)
    step_ms = max(step_ms, finest(since_ms, gone))
    until_ms = OPEN_MS if until_ms >= now_ms else _up(until_ms, step_ms)
    return Times(_down(since_ms, step_ms), until_ms)


def cut(since_ms: int, until_ms: int, every_ms: int, now_ms: int, gone: Mapping[int, int]) -> Times:
    """The time cut into pieces of ``every_ms``, or of what is the least that is there so far back."""
    finest_ms = finest(since_ms, gone)
    every_ms = max(_up(every_ms, finest_ms), finest_ms)
    until_ms = OPEN_MS if until_ms >= now_ms else _up(until_ms, every_ms)
    return Times(_down(since_ms, every_ms), until_ms, every_ms)


def pieces(since_ms: int, until_ms: int, spans: Sequence[int] = ALL) -> list[Piece]:
    """The fewest stored spans that make up a time, in order. What is shorter than the shortest is left out."""
    if not spans or since_ms >= until_ms:
        return []
    span_ms, rest = spans[0], spans[1:]
    begin, end = _up(since_ms, span_ms), _down(until_ms, span_ms)
    if begin >= end:
        return pieces(since_ms, until_ms, rest)
    return [*pieces(since_ms, begin, rest), Piece(span_ms, begin, end), *pieces(end, until_ms, rest)]


def source(every_ms: int) -> int:
    """The longest stored span that pieces of ``every_ms`` can be added up from."""
    return next(span_ms for span_ms in ALL if every_ms % span_ms == 0)


def finest(at_ms: int, gone: Mapping[int, int]) -> int:
    """The shortest span that is there of a moment."""
    return next((span_ms for span_ms in (MINUTE_MS, HOUR_MS) if at_ms >= gone.get(span_ms, 0)), DAY_MS)


def _down(at_ms: int, step_ms: int) -> int:
    return at_ms // step_ms * step_ms


def _up(at_ms: int, step_ms: int) -> int:
    return -(-at_ms // step_ms) * step_ms
