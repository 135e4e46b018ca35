"""How long attempts took, as counts per bucket that only grow: what `/metrics` shows as histograms.

The counts are kept in SQL, in the transaction that stores the records, so they are right after a restart and whichever
recorder stored and whichever control API reads. A row keeps the bound it was counted under, so bounds may change later.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Iterator

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


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one function: for each bound, how many attempts took at most that long (cumulative)."""

    function: str
    figure: str
    buckets: tuple[tuple[int, int], ...]
    sum_us: int


def figures(record: model.Record) -> Iterator[tuple[str, int]]:
    """What an attempt adds, in microseconds: ``queue`` always, ``duration`` if it ran, ``init`` if it started cold."""
    yield "queue", record.queue_ms * _MS
    if record.status in _RAN:
        yield "duration", record.duration_us
    if record.cold_start is not model.ColdStart.NONE:
        yield "init", record.init_ms * _MS


def add(connection: sa.Connection, fresh: Iterable[model.Record]) -> None:
    """Count these records. The caller holds the write lock, so nobody inserts between update and insert."""
    counts: Counter[tuple[str, str, int]] = Counter()
    sums: Counter[tuple[str, str, int]] = Counter()
    for record in fresh:
        for figure, value_us in figures(record):
            key = (record.function, figure, _bound(value_us))
            counts[key] += 1
            sums[key] += value_us
    for key, count in counts.items():
        function, figure, bound_us = key
        where = (_H.c.function == function, _H.c.figure == figure, _H.c.bound_us == bound_us)
        more = {"count": _H.c["count"] + count, "sum_us": _H.c.sum_us + sums[key]}
        if connection.execute(_H.update().where(*where).values(more)).rowcount == 0:
            values = {"function": function, "figure": figure, "bound_us": bound_us, "count": count, "sum_us": sums[key]}
            connection.execute(_H.insert().values(values))


def read(connection: sa.Connection) -> list[Histogram]:
    """Every histogram, by function and figure; each ends with the bucket that has no bound."""
    rows = connection.execute(sa.select(_H).order_by(_H.c.function, _H.c.figure, _H.c.bound_us)).all()
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
