"""Writes records and all that is told of them: totals, histograms, logs, dead letters. One transaction a batch.

Records that are there already are rare (a recorder died between commit and acknowledge), so a batch is written as if
none was. The primary key tells when one was: then nothing of the batch is written, and what is new of it is looked up.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import bulk, histograms, schema

Key = tuple[str, int]
Packed = tuple[model.Record, bytes]
"""A record and its msgpack."""

_R = schema.records
_DAY_MS = 86_400_000
_CHUNK = 500
_encode = msgspec.msgpack.Encoder().encode


class Writer:
    """Writes batches to one kind of database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        dialect = engine.dialect
        self._records = bulk.inserted(dialect, _R)
        self._totals = bulk.added(dialect, schema.totals)
        self._histograms = bulk.added(dialect, schema.histograms)
        self._logs = bulk.inserted(dialect, schema.logs)
        self._letters = bulk.inserted(dialect, schema.dead_letters)

    def write(self, batch: Sequence[Packed], letters: Mapping[Key, bytes]) -> None:
        """Write the batch whole or not at all; records that are there already change nothing."""
        try:
            with self._engine.begin() as connection:
                _lock(connection)
                self._insert(connection, batch, letters)
        except sa.exc.IntegrityError:
            with self._engine.begin() as connection:
                _lock(connection)
                self._insert(connection, _fresh(connection, batch), letters)

    def _insert(self, connection: sa.Connection, batch: Sequence[Packed], letters: Mapping[Key, bytes]) -> None:
        rows: list[bulk.Row] = []
        groups: dict[tuple[str, str, str, str, int], list[model.Record]] = {}
        for record, packed in batch:
            # The documented `_value_` is what `value` gives, without the call that takes as long as the rest of a row.
            status, cold_start = record.status._value_, record.cold_start._value_
            rows.append((
                record.invocation_id, record.attempt, record.function, status, record.ended_at_ms, record.duration_us,
                record.queue_ms, record.init_ms, cold_start, _body(record, packed), record.root_id,
            ))  # fmt: skip
            key = (record.function, record.trigger, status, cold_start, record.ended_at_ms // _DAY_MS)
            group = groups.get(key)
            if group is None:
                group = groups[key] = []
            group.append(record)
        self._records.put(connection, rows)
        self._totals.put(connection, [_total(*key, group) for key, group in groups.items()])
        self._histograms.put(connection, [row for group in groups.values() for row in histograms.rows(group)])
        self._logs.put(connection, list(_logs(record for record, _ in batch if record.logs)))
        if letters:
            self._letters.put(connection, list(_dead(batch, letters)))


def _lock(connection: sa.Connection) -> None:
    # Recorders take turns: what two of them add to the same totals in another order would be a deadlock.
    connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))


def _fresh(connection: sa.Connection, batch: Iterable[Packed]) -> list[Packed]:
    """What is not there yet, each record once."""
    unique = {(record.invocation_id, record.attempt): (record, packed) for record, packed in batch}
    known = _known(connection, sorted({invocation_id for invocation_id, _ in unique}))
    return [packed for key, packed in unique.items() if key not in known]


def _known(connection: sa.Connection, invocation_ids: Sequence[str]) -> set[Key]:
    known: set[Key] = set()
    for start in range(0, len(invocation_ids), _CHUNK):
        chunk = invocation_ids[start : start + _CHUNK]
        query = sa.select(_R.c.invocation_id, _R.c.attempt).where(_R.c.invocation_id.in_(chunk))
        known.update((row[0], row[1]) for row in connection.execute(query))
    return known


def _body(record: model.Record, packed: bytes) -> bytes:
    """The record without its log, which has a table of its own."""
    return _encode(msgspec.structs.replace(record, logs=())) if record.logs else packed


def _total(
    function: str, trigger: str, status: str, cold_start: str, day: int, group: Sequence[model.Record]
) -> bulk.Row:
    return (
        (datetime.date.fromordinal(datetime.date(1970, 1, 1).toordinal() + day)).isoformat(),
        function,
        trigger,
        status,
        cold_start,
        len(group),
        sum([record.billed_ms for record in group]),
        sum([record.cost_pico for record in group]),
        sum([record.duration_us for record in group]),
        sum([record.queue_ms for record in group]),
        sum([record.init_ms for record in group]),
    )


def _logs(records: Iterable[model.Record]) -> Iterator[bulk.Row]:
    for record in records:
        for line in record.logs:
            # PostgreSQL holds no NUL in text.
            text = line.text.replace("\0", "\N{REPLACEMENT CHARACTER}")
            yield line.at_ms, record.function, record.revision, record.invocation_id, record.attempt, text


def _dead(batch: Iterable[Packed], letters: Mapping[Key, bytes]) -> Iterator[bulk.Row]:
    for record, packed in batch:
        letter = letters.get((record.invocation_id, record.attempt))
        if letter is not None:
            yield record.invocation_id, record.function, record.ended_at_ms, letter, _body(record, packed), None
