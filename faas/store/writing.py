"""Writes records and what is told of them: totals, histograms, roll-ups, logs, dead letters. One transaction a batch.

Records that are there already are rare (a recorder died between commit and acknowledge), so a batch is written as if
none was. The primary key tells when one was: then nothing of the batch is written, and what is new of it is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.core.logs import log_lines
from faas.store import bills, bulk, chains, histograms, kept, schema, tallies

Key = tuple[str, int]
Packed = tuple[model.Record, bytes]
"""A record and its msgpack."""
GroupKey = tuple[str, str, str, str, int, int]
"""Function, trigger, status, kind of cold start, minute since 1970 and revision."""

_R = schema.records
_IS_ROLLED_UP = 1
_SUMMED = ("billed_ms", "cost_pico", "duration_us", "queue_ms", "init_ms")
_CHUNK = 500
_BODY = _R.c.keys().index("body")
_TEXT = schema.logs.c.keys().index("text") - 1  # rows of lines have no id yet
_FUNCTION_OF_LINE = schema.logs.c.keys().index("function") - 1
_encode = msgspec.msgpack.Encoder().encode


class BatchWriter:
    """Writes batches to one kind of database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        dialect = engine.dialect
        self._records = bulk.inserted(dialect, _R)
        self._totals = bulk.added(dialect, schema.totals)
        self._billed = bulk.added(dialect, schema.billed)
        self._histograms = bulk.added(dialect, schema.histograms)
        self._logs = bulk.inserted(dialect, schema.logs)
        self._letters = bulk.inserted(dialect, schema.dead_letters)
        self._kept = bulk.added(dialect, schema.kept)
        self._kept_by_function = bulk.added(dialect, schema.kept_by_function)
        self._parts = bulk.inserted(dialect, schema.rollup_parts)
        self._chains = chains.ChainWriter(dialect)

    def write(
        self, batch: Sequence[Packed], letters: Mapping[Key, bytes], printed: Sequence[model.Printed] = ()
    ) -> None:
        """Write the batch whole or not at all; records that are there already change nothing."""
        try:
            with self._engine.begin() as connection:
                _lock(connection)
                self._insert(connection, batch, letters, printed)
        # Some are there already. Nothing of the batch was written, since all of it was one transaction.
        except sa.exc.IntegrityError:
            with self._engine.begin() as connection:
                _lock(connection)
                # Looked up under the same lock, so that no other recorder writes them in between.
                self._insert(connection, _fresh(connection, batch), letters, printed)

    def _insert(
        self,
        connection: sa.Connection,
        batch: Sequence[Packed],
        letters: Mapping[Key, bytes],
        printed: Sequence[model.Printed],
    ) -> None:
        groups = _groups(batch)
        rows = [row for group in groups for row in group.rows]
        self._records.put(connection, rows)
        self._chains.write(connection, [record for record, _ in batch])
        self._totals.put(connection, [_total(group) for group in groups])
        self._billed.put(connection, bills.rows(record for record, _ in batch))
        self._histograms.put(connection, [row for group in groups for row in histograms.rows(group.records)])
        self._roll_up(connection, groups)
        lines = list(_logs(record for record, _ in batch if record.logs))
        lines += [row for each in dict.fromkeys(printed) for row in _printed(connection, each)]
        self._logs.put(connection, lines)
        if letters:
            self._letters.put(connection, list(_dead(batch, letters)))
        shares = _kept_shares(groups, lines)
        self._kept_by_function.put(connection, shares)
        self._kept.put(connection, _kept_sums(shares))

    def _roll_up(self, connection: sa.Connection, groups: Sequence[RecordGroup]) -> None:
        """Write what the batch adds to figures over time as one part, which is merged later (`faas.store.rolling`)."""
        if groups:
            added = [tallies.group(group.key[4], group.records) for group in groups]
            self._parts.put(connection, [(len(added), tallies.part(added))])


class RecordGroup:
    """The records of a batch that add to the same sums, and their rows."""

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.records: list[model.Record] = []
        self.rows: list[bulk.Row] = []


def _groups(batch: Iterable[Packed]) -> Sequence[RecordGroup]:
    groups: dict[GroupKey, RecordGroup] = {}
    for record, packed in batch:
        # The documented `_value_` is what `value` gives, without the call that takes as long as the rest of a row.
        status, cold_start = record.status._value_, record.cold_start._value_
        minute = record.ended_at_ms // tallies.MINUTE_MS
        key = (record.function, record.trigger, status, cold_start, minute, record.revision)
        group = groups.get(key)
        if group is None:
            group = groups[key] = RecordGroup(key)
        group.records.append(record)
        group.rows.append((
            record.invocation_id, record.attempt, record.function, status, record.ended_at_ms, record.duration_us,
            record.queue_ms, record.init_ms, cold_start, _body(record, packed), record.root_id,
            _IS_ROLLED_UP,
        ))  # fmt: skip
    return list(groups.values())


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


def _total(group: RecordGroup) -> bulk.Row:
    *named, minute, _ = group.key
    if len(group.records) == 1:
        (one,) = group.records
        sums_of_one = (1, one.billed_ms, one.cost_pico, one.duration_us, one.queue_ms, one.init_ms)
        return bills.day(minute * tallies.MINUTE_MS), *named, *sums_of_one
    sums = (sum([getattr(record, name) for record in group.records]) for name in _SUMMED)
    return bills.day(minute * tallies.MINUTE_MS), *named, len(group.records), *sums


def _printed(connection: sa.Connection, printed: model.Printed) -> Sequence[bulk.Row]:
    """The rows of what was printed between attempts; none when they are there already."""
    of = (printed.function, printed.revision, printed.invocation_id, printed.attempt)
    rows = [(line.at_ms, *of, *_text_and_level(line.text)) for line in printed.lines]
    names = ("at_ms", "function", "revision", "invocation_id", "attempt", "text")
    same = [schema.logs.c[name] == value for name, value in zip(names, rows[0], strict=False)] if rows else []
    is_there = bool(rows) and connection.execute(sa.select(schema.logs.c.id).where(*same).limit(1)).first()
    return [] if is_there else rows


def _text_and_level(text: str) -> tuple[str, int | None]:
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL holds no NUL in text
    return text, log_lines.highest_level(text)


def _logs(records: Iterable[model.Record]) -> Iterator[bulk.Row]:
    for record in records:
        for line in record.logs:
            of = (record.function, record.revision, record.invocation_id, record.attempt)
            yield line.at_ms, *of, *_text_and_level(line.text)


def _kept_shares(groups: Sequence[RecordGroup], lines: Sequence[bulk.Row]) -> list[bulk.Row]:
    """What a batch adds to what is kept of each function: counting it when asked would take as long as there is much.

    Rows of `schema.kept_by_function`.
    """
    sums: dict[tuple[str, str], list[int]] = {}
    for group in groups:
        held = sums.setdefault((kept.RECORDS, group.key[0]), [0, 0])
        held[0] += len(group.rows)
        held[1] += sum([len(cast(bytes, row[_BODY])) for row in group.rows])
    for line in lines:
        held = sums.setdefault((kept.LOGS, cast(str, line[_FUNCTION_OF_LINE])), [0, 0])
        held[0] += 1
        held[1] += _octets(cast(str, line[_TEXT]))
    return [(kind, function, count, size) for (kind, function), (count, size) in sums.items()]


def _kept_sums(shares: Sequence[bulk.Row]) -> list[bulk.Row]:
    """What all functions add together, by kind. Rows of `schema.kept`."""
    sums: dict[str, list[int]] = {}
    for kind, _, count, size in shares:
        held = sums.setdefault(cast(str, kind), [0, 0])
        held[0] += cast(int, count)
        held[1] += cast(int, size)
    return [(kind, count, size, 0, 0, 0) for kind, (count, size) in sums.items()]


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _dead(batch: Iterable[Packed], letters: Mapping[Key, bytes]) -> Iterator[bulk.Row]:
    for record, packed in batch:
        letter = letters.get((record.invocation_id, record.attempt))
        if letter is not None:
            body = _body(record, packed)
            yield record.invocation_id, record.function, record.ended_at_ms, letter, body, None, record.revision
