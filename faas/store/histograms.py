"""How long attempts took, as counts per bucket that only grow: what `/metrics` shows as histograms.

The counts are kept in SQL, in the transaction that stores the records, so they are right after a restart and whichever
recorder stored and whichever control API reads. A row keeps the bound it was counted under, so bounds may change later.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import schema

_H = schema.histograms
_RAN = frozenset({model.Status.OK, model.Status.ERROR, model.Status.TIMEOUT, model.Status.OOM})
_MS = 1_000
_S = 1_000_000
_BOUNDS_US = (
    100, 250, 500, 1 * _MS, 2_500, 5 * _MS, 10 * _MS, 25 * _MS, 50 * _MS, 100 * _MS, 250 * _MS, 500 * _MS,
    1 * _S, 2_500 * _MS, 5 * _S, 10 * _S, 30 * _S, 60 * _S, 300 * _S, 900 * _S,
)  # fmt: skip

NO_BOUND_US = 2**63 - 1
"""The bound of the last bucket, which holds what is over every other."""


RETRIED, DEAD = "retried", "dead"
"""Figures that are no durations: only their number is counted."""

STEP = "step:"
"""What the figures of steps of cold starts begin with."""


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one function: for each bound, how many attempts took at most that long (cumulative)."""

    function: str
    figure: str
    buckets: tuple[tuple[int, int], ...]
    sum_us: int


def rows(group: Sequence[model.Record]) -> Iterator[tuple[str, str, int, int, int]]:
    """What attempts of one function, status and kind of cold start add, as rows of the table.

    In microseconds: ``queue`` always, ``duration`` if they ran, ``init`` if they started cold; and, of no function
    in particular, each step of a cold start. ``retried`` and ``dead`` only count attempts that another followed, and
    invocations that failed for good.
    """
    if len(group) == 1:  # as most, where a batch is of many functions
        yield from _rows_of_one(group[0])
        return
    function, status, cold_start = group[0].function, group[0].status, group[0].cold_start
    yield from _counted(function, "queue", [record.queue_ms * _MS for record in group])
    if status in _RAN:
        yield from _counted(function, "duration", [record.duration_us for record in group])
    if cold_start is not model.ColdStart.NONE:
        yield from _counted(function, "init", [record.init_ms * _MS for record in group])
        yield from _steps(group)
    yield from _number(function, RETRIED, sum([not record.final for record in group]))
    yield from _number(function, DEAD, sum([record.dead for record in group]))


def _rows_of_one(record: model.Record) -> Iterator[tuple[str, str, int, int, int]]:
    function, queue_us = record.function, record.queue_ms * _MS
    yield function, "queue", _bound(queue_us), 1, queue_us
    if record.status in _RAN:
        yield function, "duration", _bound(record.duration_us), 1, record.duration_us
    if record.cold_start is not model.ColdStart.NONE:
        yield function, "init", _bound(record.init_ms * _MS), 1, record.init_ms * _MS
        yield from _steps([record])
    yield from _number(function, RETRIED, int(not record.final))
    yield from _number(function, DEAD, int(record.dead))


def _steps(group: Sequence[model.Record]) -> Iterator[tuple[str, str, int, int, int]]:
    values_us: dict[str, list[int]] = {}
    for record in group:
        for step in record.steps:
            values_us.setdefault(step.name, []).append(step.ms * _MS)
    for name, values in values_us.items():
        yield from _counted("", f"{STEP}{name}", values)


def _number(function: str, figure: str, count: int) -> Iterator[tuple[str, str, int, int, int]]:
    if count:
        yield function, figure, NO_BOUND_US, count, 0


def _counted(function: str, figure: str, values_us: list[int]) -> Iterator[tuple[str, str, int, int, int]]:
    # Sorted once, all values of a bucket stand side by side: two searches a bucket in place of one a value.
    values_us.sort()
    start = 0
    while start < len(values_us):
        bound_us = _bound(values_us[start])
        # All that is left, where there is no bound: no clock means what is even more, and the search would find none.
        end = len(values_us) if bound_us == NO_BOUND_US else bisect.bisect_right(values_us, bound_us, start)
        yield function, figure, bound_us, end - start, sum(values_us[start:end])
        start = end


def read(connection: sa.Connection) -> list[Histogram]:
    """Every histogram, by function and figure; each ends with the bucket that has no bound."""
    rows = connection.execute(sa.select(_H).order_by(_H.c.function, _H.c.figure, _H.c.bound_us))
    return of_rows((row[0], row[1], row[2], row[3], row[4]) for row in rows)


def of_rows(rows: Iterable[tuple[str, str, int, int, int]]) -> list[Histogram]:
    """Histograms of rows: function, figure, bound in microseconds, count and sum."""
    counts: dict[tuple[str, str], Counter[int]] = {}
    sums: Counter[tuple[str, str]] = Counter()
    for function, figure, bound_us, count, sum_us in rows:
        counts.setdefault((function, figure), Counter())[bound_us] += count
        sums[function, figure] += sum_us
    return [
        Histogram(function=function, figure=figure, buckets=_cumulative(held), sum_us=sums[function, figure])
        for (function, figure), held in counts.items()
    ]


def _bound(value_us: int) -> int:
    place = bisect.bisect_left(_BOUNDS_US, value_us)
    return _BOUNDS_US[place] if place < len(_BOUNDS_US) else NO_BOUND_US


def _cumulative(held: Counter[int]) -> tuple[tuple[int, int], ...]:
    buckets, so_far = [], 0
    for bound_us in sorted({*_BOUNDS_US, NO_BOUND_US, *held}):
        so_far += held[bound_us]
        buckets.append((bound_us, so_far))
    return tuple(buckets)
