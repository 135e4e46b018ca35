"""Merging the parts that recorders wrote into figures by minute, hour and day, and adding records of before.

Each part is merged once, whoever merges and whenever that one dies: it goes in the transaction that writes what it
adds. Rows are read and added up before that transaction, so that recorders do not wait for it. Two who merge at once
cannot both succeed: both begin with the oldest part, and the second does not find it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import clock, model
from faas.core.processes import garbage
from faas.store import bulk, removal, rollups, schema, spans, tallies

_P = schema.rollup_parts
_U = schema.rollups
_S = schema.rollup_state
_R = schema.records
_FEW = 200
_FILL = "fill"
_decode = msgspec.msgpack.Decoder(model.Record).decode


class UnmergedParts(msgspec.Struct, frozen=True):
    """What is not merged yet: how many parts, and how many groups are in them."""

    parts: int
    groups: int


class _Taken(msgspec.Struct, frozen=True):
    """Parts that are being merged: how many, up to which number, and the parts."""

    last: int
    count: int
    bodies: Sequence[bytes]

    def groups(self) -> Iterator[tallies.TallyGroup]:
        """What they add, part by part: to hold all at once makes collecting garbage the greater part of the work."""
        for body in self.bodies:
            yield from tallies.groups(body)


Cell = tuple[int, int]
"""The length of a span, and when it begins."""

Sums = dict[Cell, dict[str, tallies.Kinds]]


class Merger:
    """Moves parts into rows, and old records into parts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._rows = bulk.replaced(engine.dialect, _U)
        self._gone = bulk.replaced(engine.dialect, _S)
        self._parts = bulk.inserted(engine.dialect, _P)

    def waiting(self) -> UnmergedParts:
        """How much there is to merge."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(sa.func.count(), sa.func.sum(_P.c.groups))).one()
        return UnmergedParts(int(row[0]), int(row[1] or 0))

    def merge(self, most_groups: int = 20_000) -> int:
        """Merge the oldest parts, about so many groups of them, in one transaction; how many parts it were.

        It is 0 also when another has merged them meanwhile.
        """
        # Sums of ten thousand functions are 100,000 objects: to go through them again and again took half the time.
        with garbage.left(), self._engine.connect() as connection:
            taken = _take(connection, most_groups)
            if not taken.count:
                return 0
            sums = added(taken.groups(), rollups.gone_before(connection))
            made: dict[int, tallies.KindsRow] = {}
            rows = [row for cell, by_function in sums.items() for row in _merged(connection, cell, by_function, made)]
        with self._engine.begin() as connection:
            _lock(connection)
            if connection.execute(_P.delete().where(_P.c.id <= taken.last)).rowcount != taken.count:
                connection.rollback()
                return 0
            self._rows.put(connection, rows)
        return taken.count

    def drop(self, span_ms: int, before_ms: int, most: int) -> removal.Went:
        """Remove rows of this length that begin before then, the oldest first; from now on nobody reads them."""
        old = sa.select(_U.c.at_ms, _U.c.function).where(_U.c.span_ms == span_ms, _U.c.at_ms < before_ms)
        these = sa.tuple_(_U.c.at_ms, _U.c.function).in_(old.order_by(_U.c.at_ms, _U.c.function).limit(most))
        with self._engine.begin() as connection:
            _lock(connection)
            began_s = clock.steady_s()
            # A clock that was set back does not bring back what is gone.
            if before_ms > rollups.gone_before(connection).get(span_ms, 0):
                self._gone.put(connection, [(rollups.GONE + str(span_ms), str(before_ms))])
            count = connection.execute(_U.delete().where(_U.c.span_ms == span_ms, these)).rowcount
        return removal.Went(count, clock.steady_s() - began_s)

    def fill(self, most_rows: int = 1_000) -> bool:
        """Make a part of some records that were there before roll-ups, the newest first; False when none is left.

        What is written down of how far this got moves in the same transaction.
        """
        with self._engine.connect() as connection:
            cursor = connection.scalar(sa.select(_S.c.value).where(_S.c.name == _FILL))
            if cursor is None:
                return False
            until, found = _before(connection, cursor, most_rows)
        with self._engine.begin() as connection:
            _lock(connection)
            this = (_S.c.name == _FILL, _S.c.value == cursor)
            step = _S.delete().where(*this) if until is None else _S.update().where(*this).values(value=until)
            if connection.execute(step).rowcount and found:
                self._parts.put(connection, [(len(found), tallies.part(found))])
        return until is not None


def added(groups: Iterable[tallies.TallyGroup], gone: dict[int, int]) -> Sums:
    """What groups add to each span that holds them; to none that was removed."""
    minutes: Sums = {}
    for (minute, function, kind), tally in tallies.by_kind(groups).items():
        by_function = minutes.setdefault((spans.MINUTE_MS, minute * spans.MINUTE_MS), {})
        by_function.setdefault(function, {})[kind] = tally
    for by_function in minutes.values():
        by_function[rollups.EVERYTHING] = tallies.of_all(by_function.values())
    hours = _longer(minutes, spans.HOUR_MS)
    found = {**minutes, **hours, **_longer(hours, spans.DAY_MS)}
    return {(span_ms, at_ms): held for (span_ms, at_ms), held in found.items() if at_ms >= gone.get(span_ms, 0)}


def _longer(shorter: Sums, span_ms: int) -> Sums:
    found: Sums = {}
    for (_, at_ms), by_function in shorter.items():
        cell = (span_ms, at_ms // span_ms * span_ms)
        if cell not in found:
            # Most often all is of one minute; then its sums serve for hour and day too, and nobody changes them.
            found[cell] = dict(by_function)
            continue
        for function, kinds in by_function.items():
            held: tallies.Kinds = {}
            tallies.merge(held, found[cell].get(function, {}))
            tallies.merge(held, kinds)
            found[cell][function] = held
    return found


def _merged(
    connection: sa.Connection, cell: Cell, by_function: dict[str, tallies.Kinds], made: dict[int, tallies.KindsRow]
) -> list[bulk.Row]:
    """The rows of one span as they are with what is added. ``made`` are those of sums that serve for several spans."""
    held = _held(connection, cell, sorted(by_function))
    rows: list[bulk.Row] = []
    for name in sorted(by_function):
        kinds = by_function[name]
        if name in held:
            kinds = tallies.kinds(*held[name])
            tallies.merge(kinds, by_function[name])
            row = tallies.row(kinds)
        elif (row_made := made.get(id(kinds))) is not None:
            row = row_made
        else:
            row = made[id(kinds)] = tallies.row(kinds)
        rows.append((*cell, name, *row))
    return rows


def _held(connection: sa.Connection, cell: Cell, names: Sequence[str]) -> dict[str, tuple[bytes, bytes]]:
    """The sketches and kinds of those functions that have a row in a span already."""
    query = sa.select(_U.c.function, _U.c.sketches, _U.c.kinds).where(_U.c.span_ms == cell[0], _U.c.at_ms == cell[1])
    # Of many all are read: to name each takes as long.
    query = query.where(_U.c.function.in_(names)) if len(names) <= _FEW else query
    return {row[0]: (row[1], row[2]) for row in connection.execute(query).all()}


def _take(connection: sa.Connection, most_groups: int) -> _Taken:
    """The oldest parts, with about so many groups; one at least."""
    last, count, so_far = 0, 0, 0
    for number, groups in connection.execute(sa.select(_P.c.id, _P.c.groups).order_by(_P.c.id)):
        if count and so_far + groups > most_groups:
            break
        last, count, so_far = number, count + 1, so_far + groups
    bodies = connection.scalars(sa.select(_P.c.body).where(_P.c.id <= last).order_by(_P.c.id)).all() if count else []
    # Another may have merged some between the two reads; then their number is wrong, and nothing will be written.
    return _Taken(last, count, bodies)


def _before(connection: sa.Connection, cursor: str, most_rows: int) -> tuple[str | None, list[tallies.TallyGroup]]:
    """The id down to which old records were read, None when there are no more; and what they add."""
    older = _R.c.invocation_id < cursor if cursor else sa.true()
    newest = sa.select(_R.c.invocation_id).where(older).order_by(_R.c.invocation_id.desc()).limit(most_rows)
    ids = connection.scalars(newest).all()
    if not ids:
        return None, []
    # All attempts of an invocation are in one step: the id alone says how far this is.
    query = sa.select(_R.c.body).where(older, _R.c.invocation_id >= ids[-1], _R.c.is_rolled_up.is_(None))
    return ids[-1], _grouped(_decode(body) for body in connection.scalars(query))


def _grouped(records: Iterable[model.Record]) -> list[tallies.TallyGroup]:
    held: dict[tuple[object, ...], list[model.Record]] = {}
    for record in records:
        minute = record.ended_at_ms // spans.MINUTE_MS
        key = (minute, record.function, record.revision, record.trigger, record.status, record.cold_start)
        held.setdefault(key, []).append(record)
    return [tallies.group(each[0].ended_at_ms // spans.MINUTE_MS, each) for each in held.values()]


def _lock(connection: sa.Connection) -> None:
    # The lock that recorders take: parts get their numbers in the order in which they are committed.
    connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))
