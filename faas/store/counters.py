"""What `/metrics` counts, read at a cost that has a bound: however many functions and days there are.

Days that are over do not change any more (but for what was recorded late), so their sums are kept and read anew once an
hour; a scrape adds up two days. Some hundred functions have figures of their own, those with the most attempts first;
all others are added up together, in SQL, under a name that is empty. Who has a name of its own keeps it as long as this
process lives, or its counters would seem to begin again.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from faas.core import clock
from faas.store import histograms, ledger, schema

OTHERS = ""
"""The name under which functions are added up that have none of their own."""

_T = schema.totals
_H = schema.histograms
_KEYS = ("function", "trigger", "status", "cold_start")
_SUMS = ("count", "billed_ms", "cost_pico", "duration_us", "queue_ms", "init_ms")
_READ_AGAIN_S = 3_600.0
_Sums = Mapping[tuple[str, ...], Sequence[int]]


class Counted(msgspec.Struct, frozen=True):
    """Everything ever recorded, added up, and how long it took."""

    totals: Sequence[ledger.Total] = ()
    histograms: Sequence[histograms.Histogram] = ()


class Counters:
    """Reads sums for metrics. Its methods block, and may be called by several threads."""

    def __init__(self, engine: sa.Engine, most_functions: int) -> None:
        self._engine = engine
        self._most = most_functions
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._past: _Sums = {}
        self._past_until = ""
        self._read_at = 0.0

    def name_of(self, function: str) -> str:
        """The name under which a function's figures stand: its own, if there is room for one more, or `OTHERS`."""
        with self._lock:
            return self._named(function)

    def _named(self, function: str) -> str:
        if function in self._names:
            return function
        if len(self._names) >= self._most:
            return OTHERS
        self._names.add(function)
        return function

    def read(self) -> Counted:
        """The sums as they are now."""
        with self._lock, self._engine.connect() as connection:
            today = datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC).date()
            # Yesterday still changes: a recorder that is behind writes records of before midnight.
            until = (today - datetime.timedelta(1)).isoformat()
            self._name_more(connection, until)
            if until != self._past_until or clock.steady_s() - self._read_at > _READ_AGAIN_S:
                self._past = self._sums(connection, _T.c.day < until)
                self._past_until, self._read_at = until, clock.steady_s()
            totals = _together(self._past, self._sums(connection, _T.c.day >= until))
            return Counted(totals, self._histograms(connection))

    def _name_more(self, connection: sa.Connection, until: str) -> None:
        """Give names while there is room: at first by all that there is, later by what the last days brought."""
        if len(self._names) >= self._most:
            return
        count = sa.func.sum(_T.c.count)
        query = sa.select(_T.c.function).group_by(_T.c.function).order_by(count.desc(), _T.c.function)
        recent = query if not self._past_until else query.where(_T.c.day >= until)
        for function in connection.scalars(recent.limit(self._most)):
            before = len(self._names)
            # The sums of past days hold it under `OTHERS` no longer.
            if self._named(function) and len(self._names) > before and self._past_until:
                self._past_until = ""

    def _name(self, column: sa.Column[str]) -> sa.ColumnElement[str]:
        if len(self._names) < self._most:
            return column
        # Added up where the rows lie: of ten thousand functions only those with a name come here.
        return sa.case((column.in_(sorted(self._names)), column), else_=OTHERS)

    def _sums(self, connection: sa.Connection, days: sa.ColumnElement[bool]) -> _Sums:
        keys = [self._name(_T.c.function).label("function"), *(_T.c[name] for name in _KEYS[1:])]
        sums = [sa.func.sum(_T.c[name]) for name in _SUMS]
        query = sa.select(*keys, *sums).where(days).group_by(*keys)
        return {tuple(row[:4]): [int(each) for each in row[4:]] for row in connection.execute(query)}

    def _histograms(self, connection: sa.Connection) -> list[histograms.Histogram]:
        if len(self._names) < self._most:
            return histograms.read(connection)
        name = self._name(_H.c.function).label("function")
        keys = (name, _H.c.figure, _H.c.bound_us)
        query = sa.select(*keys, sa.func.sum(_H.c.count), sa.func.sum(_H.c.sum_us)).group_by(*keys).order_by(*keys)
        return histograms.of_rows(
            (row[0], row[1], row[2], int(row[3]), int(row[4])) for row in connection.execute(query)
        )


def _together(*found: _Sums) -> list[ledger.Total]:
    sums: dict[tuple[str, ...], list[int]] = {}
    for each in found:
        for key, added in each.items():
            held = sums.get(key)
            sums[key] = list(added) if held is None else [a + b for a, b in zip(held, added, strict=True)]
    return [_total(key, added) for key, added in sorted(sums.items())]


def _total(key: Iterable[str], sums: Iterable[int]) -> ledger.Total:
    fields: dict[str, Any] = {**dict(zip(_KEYS, key, strict=True)), **dict(zip(_SUMS, sums, strict=True))}
    return ledger.Total(**fields)
