"""Figures over time, read from what is added up by minute, hour and day and from parts that are not merged yet.

Counts and money are exact. Quantiles are less than 1% away from the attempt that they name, and exact below 128 of
their unit. ``duration_us`` is that of attempts that ran, ``init_ms`` that of those that started cold.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from faas.core import clock, sketches
from faas.store import ranking, schema, spans, tallies

By = Literal["function", "revision", "trigger", "status", "cold_start", "all"]
Functions = str | Collection[str] | None

Key = TypeVar("Key", str, int)
_P = schema.rollup_parts
_U = schema.rollups
_S = schema.rollup_state
_SUMS = (_U.c.count, _U.c.errors, _U.c.cold_starts, _U.c.billed_ms, _U.c.cost_pico)
_PER_MILLE = (500, 900, 950, 990, 999)
_CHUNK = 500
GONE = "gone:"
"""With the length of a span, the name of the moment before which such spans were removed."""

EVERYTHING = ranking.EVERYTHING
"""The function of rows that all functions are added up in."""


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest ranks, in the unit of the figure; 0 when there is none."""

    p50: int = 0
    p90: int = 0
    p99: int = 0
    p999: int = 0
    p95: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What some attempts were like. ``errors`` are all that did not end ok."""

    count: int = 0
    errors: int = 0
    cold_starts: int = 0
    billed_ms: int = 0
    cost_pico: int = 0
    duration_us: Quantiles = Quantiles()
    queue_ms: Quantiles = Quantiles()
    init_ms: Quantiles = Quantiles()


class ExactFigures(msgspec.Struct, frozen=True):
    """What is exact of `Figures`."""

    count: int
    errors: int
    cold_starts: int
    billed_ms: int
    cost_pico: int

    @classmethod
    def of(cls, figures: Figures) -> ExactFigures:
        """What is exact of some figures."""
        return cls(figures.count, figures.errors, figures.cold_starts, figures.billed_ms, figures.cost_pico)


class Point(msgspec.Struct, frozen=True):
    """The attempts that ended in a span of time, which begins at ``at_ms``."""

    at_ms: int
    figures: Figures


class Series(msgspec.Struct, frozen=True):
    """Points in order of time; only spans in which something ended have one."""

    name: str
    points: tuple[Point, ...]


class Summary(msgspec.Struct, frozen=True):
    """All attempts of one name."""

    name: str
    figures: Figures


class _Bit(NamedTuple):
    """A part of a sum: a stored row, a kind of one, or a group that is not merged yet."""

    name: str
    at_ms: int
    counts: tuple[int, int, int, int, int]
    flats: Sequence[tallies.Flat]


class Rollups:
    """Reads roll-ups. What was recorded is in the next answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def times(self, since_ms: int, until_ms: int, every_ms: int | None = None) -> spans.Times:
        """The time that is read when this one is asked for (`faas.store.spans`), with its end no later than now."""
        with self._engine.connect() as connection:
            found = _times(gone_before(connection), since_ms, until_ms, every_ms)
        return found._replace(until_ms=min(found.until_ms, clock.now_ms()))

    def summary(self, since_ms: int, until_ms: int, by: By = "function", function: Functions = None) -> list[Summary]:
        """What attempts add up to that ended in ``[since_ms, until_ms)``, by name.

        Without ``function`` all are read; names of ``revision`` are ``function@3`` then, and 3 of a given one.
        """
        held: dict[str, tallies.Tally] = {}
        with _snapshot(self._engine) as connection:
            times = _times(gone_before(connection), since_ms, until_ms, None)
            for bit in _bits(connection, spans.pieces(*times[:2]), by, function):
                _add(held, bit.name, bit)
        return [Summary(name, _figures(held[name])) for name in sorted(held)]

    def counts(self, since_ms: int, until_ms: int) -> dict[str, ExactFigures]:
        """What is exact, of every function that had attempts; added up where it lies, without any sketch."""
        held: dict[str, tallies.Tally] = {}
        with _snapshot(self._engine) as connection:
            times = _times(gone_before(connection), since_ms, until_ms, None)
            pieces = spans.pieces(*times[:2])
            for bit in (bit for piece in pieces for bit in _added_up(connection, piece)):
                _add(held, bit.name, bit)
            for bit in _pending(connection, pieces, "function", None):
                _add(held, bit.name, bit._replace(flats=()))
        return {name: ExactFigures.of(_figures(tally)) for name, tally in held.items()}

    def durations(self, since_ms: int, until_ms: int, per_mille: int) -> dict[str, int]:
        """How long (µs) so many in a thousand attempts of each function took at most; for putting the slowest first."""
        with _snapshot(self._engine) as connection:
            pieces = spans.pieces(*_times(gone_before(connection), since_ms, until_ms, None)[:2])
            waiting = [(bit.name, bit.flats[0]) for bit in _pending(connection, pieces, "function", None)]
            return ranking.durations(connection, pieces, per_mille, waiting)

    def series(
        self,
        since_ms: int,
        until_ms: int,
        every_ms: int,
        by: By = "function",
        function: Functions = None,
        *,
        with_quantiles: bool = True,
    ) -> list[Series]:
        """The same cut into spans of ``every_ms``, which begin at its multiples since 1970; see `times`.

        Without quantiles it takes a third of the time.
        """
        held: dict[str, dict[int, tallies.Tally]] = {}
        with _snapshot(self._engine) as connection:
            times = _times(gone_before(connection), since_ms, until_ms, every_ms)
            step_ms = times.every_ms or every_ms
            piece = spans.Piece(spans.source(step_ms), times.since_ms, times.until_ms)
            for bit in _bits(connection, [piece], by, function, with_flats=with_quantiles):
                _add(held.setdefault(bit.name, {}), bit.at_ms // step_ms * step_ms, bit)
        return [
            Series(name, tuple(Point(at_ms, _figures(held[name][at_ms])) for at_ms in sorted(held[name])))
            for name in sorted(held)
        ]

    def is_filling(self) -> bool:
        """Whether records of before there were roll-ups are still being added."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(_S.c.value).where(_S.c.name == "fill")) is not None


def gone_before(connection: sa.Connection) -> dict[int, int]:
    """Before which moments spans of a length were removed."""
    rows = connection.execute(sa.select(_S.c.name, _S.c.value).where(_S.c.name.startswith(GONE)))
    return {int(name.partition(":")[2]): int(value) for name, value in rows}


@contextlib.contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Reads that all see the same: what is merged between two of them would be counted twice, or not at all."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
    else:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection


def _times(gone: dict[int, int], since_ms: int, until_ms: int, every_ms: int | None) -> spans.Times:
    now_ms = clock.now_ms()
    if every_ms is None:
        return spans.aligned(since_ms, until_ms, now_ms, gone)
    return spans.cut(since_ms, until_ms, every_ms, now_ms, gone)


def _bits(
    connection: sa.Connection,
    pieces: Sequence[spans.Piece],
    by: By,
    function: Functions,
    *,
    with_flats: bool = True,
) -> Iterator[_Bit]:
    chosen = {function} if isinstance(function, str) else None if function is None else set(function)
    for piece in pieces:
        yield from _stored(connection, piece, by, chosen, with_flats=with_flats)
    yield from _pending(connection, pieces, by, chosen)


def _stored(
    connection: sa.Connection, piece: spans.Piece, by: By, chosen: set[str] | None, *, with_flats: bool
) -> Iterator[_Bit]:
    is_whole = by in ("function", "all")
    # An empty text in place of what nobody wants: large values are not read from their pages then.
    kinds = sa.literal(b"") if is_whole else _U.c.kinds
    flats = _U.c.sketches if with_flats or not is_whole else sa.literal(b"")
    query = ranking.within(sa.select(_U.c.function, _U.c.at_ms, *_SUMS, flats, kinds), piece)
    named = _namer(by, chosen)
    if chosen is not None or by not in ("function", "revision"):
        query = query.with_hint(_U, "INDEXED BY rollups_by_function", "sqlite")
    for where in _of_functions(by, chosen):
        for name, at_ms, *sums, sketched, body in connection.execute(query.where(where)):
            if is_whole:
                yield _Bit(named(name, None), at_ms, tuple(sums), tallies.flats(sketched) if with_flats else ())
                continue
            for kind, tally in tallies.kinds(sketched, body).items():
                counts = (tally.count, tally.errors, tally.cold_starts, tally.billed_ms, tally.cost_pico)
                yield _Bit(named(name, kind), at_ms, counts, tally.flats())


def _added_up(connection: sa.Connection, piece: spans.Piece) -> Iterator[_Bit]:
    """The counts of each function in a piece of time."""
    sums = [sa.func.sum(column) for column in _SUMS]
    query = ranking.within(sa.select(_U.c.function, *sums), piece)
    for name, *counts in connection.execute(query.where(_U.c.function != EVERYTHING).group_by(_U.c.function)):
        # PostgreSQL gives sums as decimals.
        yield _Bit(name, piece.since_ms, tuple(map(int, counts)), ())  # type: ignore[arg-type]


def _of_functions(by: By, chosen: set[str] | None) -> Iterable[sa.ColumnElement[bool]]:
    if chosen is not None:
        names = sorted(chosen)
        for start in range(0, len(names), _CHUNK):
            yield _U.c.function.in_(names[start : start + _CHUNK])
    else:
        yield _U.c.function != EVERYTHING if by in ("function", "revision") else _U.c.function == EVERYTHING


def _pending(
    connection: sa.Connection, pieces: Sequence[spans.Piece], by: By, chosen: set[str] | None
) -> Iterator[_Bit]:
    """What is not merged yet, as far as it is in these pieces."""
    if not pieces:
        return
    named = _namer(by, chosen)
    first, last = pieces[0].since_ms, pieces[-1].until_ms
    for body in connection.scalars(sa.select(_P.c.body)):
        for group in tallies.groups(body):
            at_ms = group.minute * spans.MINUTE_MS
            if first <= at_ms < last and (chosen is None or group.function in chosen):
                yield _Bit(named(group.function, group.kind), at_ms, group.counts, group.flats)


def _namer(by: By, chosen: set[str] | None) -> Callable[[str, tallies.RecordKind | None], str]:
    """How what a bit is part of is called, by its function and kind."""
    if by == "function":
        return lambda function, kind: function
    if by == "all":
        return lambda function, kind: "all"
    if by == "revision":
        is_one = chosen is not None and len(chosen) == 1
        return lambda function, kind: f"{kind.revision}" if is_one else f"{function}@{kind.revision}"  # type: ignore[union-attr]
    place = tallies.RecordKind._fields.index(by)
    return lambda function, kind: str(kind[place])  # type: ignore[index]


def _add(held: dict[Key, tallies.Tally], name: Key, bit: _Bit) -> None:
    tally = held.get(name)
    if tally is None:
        tally = held[name] = tallies.Tally()
    tally.add_counts(*bit.counts)
    if bit.flats:
        tally.add_flats(*bit.flats)


def _figures(tally: tallies.Tally) -> Figures:
    return Figures(
        count=tally.count,
        errors=tally.errors,
        cold_starts=tally.cold_starts,
        billed_ms=tally.billed_ms,
        cost_pico=tally.cost_pico,
        duration_us=_quantiles(tally.duration),
        queue_ms=_quantiles(tally.queue),
        init_ms=_quantiles(tally.init),
    )


def _quantiles(sketch: sketches.Sketch) -> Quantiles:
    p50, p90, p95, p99, p999 = sketches.quantiles(sketch, _PER_MILLE)
    return Quantiles(p50=p50, p90=p90, p95=p95, p99=p99, p999=p999)
