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


class Removal:
    """Finds and removes. Each method that removes is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def old_records(self, before_ms: int, most: int) -> list[Key]:
        """The records that ended before then, oldest first. They are only looked up: no lock is held."""
        query = sa.select(_R.c.invocation_id, _R.c.attempt).where(_R.c.ended_at_ms < before_ms)
        with self._engine.connect() as connection:
            return [Key(*row) for row in connection.execute(query.order_by(_R.c.ended_at_ms).limit(most))]

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

    def drop_letters(self, before_ms: int, most: int) -> Went:
        """Remove dead letters of invocations that failed before then; with their ids."""
        old = sa.select(_D.c.invocation_id).where(_D.c.died_at_ms < before_ms).order_by(_D.c.died_at_ms).limit(most)
        size = sa.func.length(_D.c.invocation) + sa.func.length(_D.c.record)
        return self._drop(kept.DEAD_LETTERS, _D.delete().where(_D.c.invocation_id.in_(old)), size, _D.c.invocation_id)

    def drop_undelivered(self, before_ms: int, most: int) -> Went:
        """Remove records that were given up before then."""
        given_up = _U.c.given_up_at_ms
        old = sa.select(_U.c.invocation_id).where(given_up < before_ms).order_by(given_up).limit(most)
        size = sa.func.length(_U.c.invocation) + sa.func.length(_U.c.settled)
        return self._drop(kept.UNDELIVERED, _U.delete().where(_U.c.invocation_id.in_(old)), size)

    def _drop(self, kind: str, delete: sa.Delete, size: sa.ColumnElement[int], *id: sa.Column[str]) -> Went:
        """Delete, and note in the same transaction what went."""
        with self._engine.begin() as connection:
            # Recorders take turns by this row, and so does this: two that lock rows in another order could deadlock.
            connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))
            began = time.monotonic()
            # The sizes come back from the delete itself: to ask for them before would read each row twice.
            rows = connection.execute(delete.returning(size, *id)).all()
            if rows:
                kept.add_freed(connection, kind, len(rows), sum(row[0] for row in rows))
        return Went(len(rows), time.monotonic() - began, tuple(str(row[1]) for row in rows if id))

    def _octets(self) -> sa.ColumnElement[int]:
        if self._engine.dialect.name == "sqlite":  # whose `octet_length` came with 3.43
            return sa.func.length(sa.cast(_L.c.text, sa.LargeBinary))
        return sa.func.octet_length(_L.c.text)
