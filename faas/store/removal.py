"""Removing what is past its time, a bounded number of rows in a transaction, so that no recorder waits for long.

Totals and histograms are written with the records (`faas.store.writing`), for good: no bill changes when records go.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from faas.store import kept, schema

_R = schema.records
_L = schema.logs
_D = schema.dead_letters
_U = schema.undelivered
_C = schema.chains


class Key(msgspec.Struct, frozen=True):
    """One record's primary key."""

    invocation_id: str
    attempt: int


class Went(msgspec.Struct, frozen=True):
    """What one transaction removed. ``held_s`` is for how long nobody else could write."""

    count: int = 0
    held_s: float = 0.0
    ids: Sequence[str] = ()


Place = tuple[int, str, int]
"""A record's place by the moment it ended."""

LinePlace = tuple[int, int]
"""A line's place by the moment it was printed."""


class Passed(msgspec.Struct, frozen=True):
    """Records that were looked at, with their functions, and the place of the last."""

    found: Sequence[tuple[str, Key]]
    place: Place


class PassedLines(msgspec.Struct, frozen=True):
    """Lines that were looked at, with their functions, and the place of the last."""

    found: Sequence[tuple[str, int]]
    place: LinePlace


class Whose(msgspec.Struct, frozen=True):
    """Of which functions: of one, or of all but some."""

    function: str | None = None
    but: Sequence[str] = ()

    def of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions on a table that has functions."""
        one = [table.c.function == self.function] if self.function is not None else []
        return [*one, *([table.c.function.not_in(self.but)] if self.but else [])]


_ANYBODYS = Whose()


class Removal:
    """Finds and removes. Each method that removes is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def old_records(self, before_ms: int, most: int, function: str | None = None) -> list[Key]:
        """The records that ended before then, oldest first. They are only looked up: no lock is held."""
        query = sa.select(_R.c.invocation_id, _R.c.attempt).where(_R.c.ended_at_ms < before_ms)
        if function is not None:
            query = query.where(_R.c.function == function)
        with self._engine.connect() as connection:
            return [Key(*row) for row in connection.execute(query.order_by(_R.c.ended_at_ms).limit(most))]

    def pass_records(self, place: Place, before_ms: int, most: int) -> Passed:
        """Of so many records behind a place, that ended before then: each with its function, and the place to go on.

        For when some functions keep theirs longer: what stays is passed once, and not at each step again.
        """
        at = sa.tuple_(_R.c.ended_at_ms, _R.c.invocation_id, _R.c.attempt)
        query = sa.select(_R.c.ended_at_ms, _R.c.invocation_id, _R.c.attempt, _R.c.function)
        # The first is for the index; the second for those of the same millisecond.
        query = query.where(_R.c.ended_at_ms >= place[0], _R.c.ended_at_ms < before_ms)
        query = query.where(at > place)
        query = query.order_by(_R.c.ended_at_ms, _R.c.invocation_id, _R.c.attempt).limit(most)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        found = tuple((str(row[3]), Key(row[1], row[2])) for row in rows)
        return Passed(found, (rows[-1][0], rows[-1][1], rows[-1][2]) if rows else place)

    def pass_logs(self, place: LinePlace, before_ms: int, most: int) -> PassedLines:
        """The same of lines, by their ids."""
        query = sa.select(_L.c.at_ms, _L.c.id, _L.c.function)
        query = query.where(_L.c.at_ms >= place[0], _L.c.at_ms < before_ms)
        query = query.where(sa.tuple_(_L.c.at_ms, _L.c.id) > place)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_L.c.at_ms, _L.c.id).limit(most)).all()
        return PassedLines(
            tuple((str(row[2]), int(row[1])) for row in rows), (rows[-1][0], rows[-1][1]) if rows else place
        )

    def drop_lines(self, ids: Sequence[int]) -> Went:
        """Remove these lines."""
        return self._drop(kept.LOGS, _L.delete().where(_L.c.id.in_(ids)), self._octets()) if ids else Went()

    def drop_logs_of(self, function: str, before_ms: int, most: int) -> Went:
        """Remove lines of one function that were printed before then, of the ``most`` that were stored first.

        Lines are stored about in the order in which they were printed. One that is not goes at a later look.
        """
        first = sa.select(_L.c.id, _L.c.at_ms).where(_L.c.function == function).order_by(_L.c.id).limit(most).subquery()
        old = sa.select(first.c.id).where(first.c.at_ms < before_ms)
        return self._drop(kept.LOGS, _L.delete().where(_L.c.id.in_(old)), self._octets())

    def drop_records(self, keys: Sequence[Key]) -> Went:
        """Remove these records. Their logs have a time of their own."""
        if not keys:
            return Went()
        # Those that were looked up, and not "all before then": the lock is held for no longer than this many rows take.
        these = sa.tuple_(_R.c.invocation_id, _R.c.attempt).in_([(key.invocation_id, key.attempt) for key in keys])
        return self._drop(kept.RECORDS, _R.delete().where(these), sa.func.length(_R.c.body))

    def drop_chains(self, before_ms: int, most: int) -> Went:
        """Remove what chains added up to that ended before then; their records go by themselves."""
        old = sa.select(_C.c.root_id).where(_C.c.ended_at_ms < before_ms).order_by(_C.c.ended_at_ms).limit(most)
        with self._engine.begin() as connection:
            # Recorders take turns by this row.
            connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))
            began = time.monotonic()
            gone = connection.execute(_C.delete().where(_C.c.root_id.in_(old))).rowcount
        return Went(gone, time.monotonic() - began)

    def drop_logs_before(self, before_ms: int, most: int) -> Went:
        """Remove lines that were printed before then, the oldest first."""
        old = sa.select(_L.c.id).where(_L.c.at_ms < before_ms).order_by(_L.c.at_ms).limit(most)
        return self._drop(kept.LOGS, _L.delete().where(_L.c.id.in_(old)), self._octets())

    def drop_logs_over(self, size: int, most: int) -> Went:
        """Remove lines while all have more than ``size`` bytes together, those that were stored first before others."""
        query = sa.select(schema.kept.c.bytes, schema.kept.c.count).where(schema.kept.c.kind == kept.LOGS)
        with self._engine.connect() as connection:
            held, lines = connection.execute(query).first() or (0, 0)
        if held <= size:
            return Went()
        # As many as the excess is worth by the average: what may be kept shall not go along with it.
        worth = -(-(held - size) * lines // held)
        first = sa.select(_L.c.id).order_by(_L.c.id).limit(max(1, min(most, worth)))
        return self._drop(kept.LOGS, _L.delete().where(_L.c.id.in_(first)), self._octets())

    def drop_letters(self, before_ms: int, most: int, whose: Whose = _ANYBODYS) -> Went:
        """Remove dead letters of invocations that failed before then; with their ids."""
        old = sa.select(_D.c.invocation_id).where(_D.c.died_at_ms < before_ms, *whose.of(_D))
        old = old.order_by(_D.c.died_at_ms).limit(most)
        size = sa.func.length(_D.c.invocation) + sa.func.length(_D.c.record)
        return self._drop(kept.DEAD_LETTERS, _D.delete().where(_D.c.invocation_id.in_(old)), size, _D.c.invocation_id)

    def drop_undelivered(self, before_ms: int, most: int, whose: Whose = _ANYBODYS) -> Went:
        """Remove records that were given up before then."""
        given_up = _U.c.given_up_at_ms
        old = sa.select(_U.c.invocation_id).where(given_up < before_ms, *whose.of(_U)).order_by(given_up).limit(most)
        size = sa.func.length(_U.c.invocation) + sa.func.length(_U.c.settled)
        return self._drop(kept.UNDELIVERED, _U.delete().where(_U.c.invocation_id.in_(old)), size)

    def _drop(self, kind: str, delete: sa.Delete, size: sa.ColumnElement[int], *id: sa.Column[str]) -> Went:
        """Delete, and note in the same transaction what went."""
        with self._engine.begin() as connection:
            # Recorders take turns by this row, and so does this: two that lock rows in another order could deadlock.
            connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))
            began = time.monotonic()
            # The sizes come back from the delete itself: to ask for them before would read each row twice.
            rows = connection.execute(delete.returning(size, delete.table.c.function, *id)).all()
            if rows:
                kept.add_freed(connection, kind, len(rows), sum(row[0] for row in rows))
                kept.take_shares(connection, kind, [(row[1], row[0]) for row in rows])
        return Went(len(rows), time.monotonic() - began, tuple(str(row[2]) for row in rows if id))

    def _octets(self) -> sa.ColumnElement[int]:
        if self._engine.dialect.name == "sqlite":  # whose `octet_length` came with 3.43
            return sa.func.length(sa.cast(_L.c.text, sa.LargeBinary))
        return sa.func.octet_length(_L.c.text)
