"""Records of thirty days, with what hangs on them: lines of logs, chains of invocations, dead letters.

Record ``n`` of all is known by its number alone: when it ended, its id, whose chain it is of and whether it failed.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from faas.core import model
from faas.store import spans

FUNCTIONS = 10_000
DAYS = 30
NAMES = [f"fn-{number:05d}" for number in range(FUNCTIONS)]
"""The lower the number, the more a function was called."""

WEIGHTS = [1 / (number + 50) ** 0.7 for number in range(FUNCTIONS)]
LONG_CHAIN = 500
"""How many records the longest chains have; one begins with every millionth record."""

_LONG_EVERY = 1_000_000
_LINES = 3
_AT_ONCE = 60_000
_LEVELS = (20, 20, None)
_encode = msgspec.msgpack.Encoder().encode


class Making(NamedTuple):
    """What a maker works with: ``rows`` are records, and lines of logs."""

    connection: sqlite3.Connection
    rows: int
    now_ms: int
    chance: random.Random
    say: Callable[[str], None]

    def at_ms(self, number: int) -> int:
        """When a record ended."""
        before_ms = (self.rows - 1 - number) * DAYS * spans.DAY_MS // self.rows
        return self.now_ms - before_ms

    def id(self, number: int) -> str:
        """A record's invocation."""
        moment = f"{self.at_ms(number):012x}"
        return f"{moment[:8]}-{moment[8:]}-7000-8000-{number:012x}"


class Sizes(NamedTuple):
    """Bytes of what was written."""

    records: int
    logs: int


def root(number: int) -> int:
    """The number of the record that a record's chain begins with; its own where nothing came before it."""
    place = number % _LONG_EVERY
    if place < LONG_CHAIN:
        return number - place
    return number - 1 if number % 5 == 1 else number


def text(number: int, function: str) -> str:
    """The line of a number."""
    if number % 1_500 == 0:
        return f"[ERROR]\tno customer {number % 9_973} in {function}"
    return (
        f"[INFO]\tstarted {function} for customer {number % 9_973}",
        f'{{"level": "info", "message": "read object", "size": {number % 100_003}, "function": "{function}"}}',
        f"done, request {number:08x} took {number % 977} ms",
    )[number % _LINES]


def make(making: Making) -> Sizes:
    """Write all of them."""
    sizes = [0, 0]
    for first in range(0, making.rows, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, making.rows))
        functions = making.chance.choices(NAMES, WEIGHTS, k=len(numbers))
        records = [_record(making, number, functions[number - first]) for number in numbers]
        bodies = [_encode(record) for record in records]
        lines = [text(number, functions[(number - first) // _LINES * _LINES]) for number in numbers]
        sizes = [sizes[0] + sum(map(len, bodies)), sizes[1] + sum(map(len, lines))]
        _put(making.connection, "records", 12, [_row(*each) for each in zip(records, bodies, strict=True)])
        _put(making.connection, "chains", 12, list(_chains(making, numbers, records)))
        dead = [
            (*each, number) for number, *each in zip(numbers, records, bodies, strict=True) if number % 2_000 == 107
        ]
        _put(making.connection, "dead_letters", 7, [_letter(record, body) for record, body, _ in dead])
        making.connection.executemany(
            "INSERT INTO logs (at_ms, function, revision, invocation_id, attempt, text, level) VALUES (?,?,1,?,1,?,?)",
            [
                (
                    records[place].ended_at_ms,
                    functions[place // _LINES * _LINES],
                    records[place // _LINES * _LINES].invocation_id,
                    line,
                    40 if number % 1_500 == 0 else _LEVELS[number % _LINES],
                )
                for place, (number, line) in enumerate(zip(numbers, lines, strict=True))
            ],
        )
    return Sizes(*sizes)


def count(making: Making, sizes: Sizes) -> None:
    """Note what is kept. All have about as many bytes: to add them up by function would take as long as making them."""
    for kind, size in zip(("records", "logs"), sizes, strict=True):
        making.connection.execute("UPDATE kept SET count = ?, bytes = ? WHERE kind = ?", (making.rows, size, kind))
        making.connection.execute(
            f"INSERT INTO kept_by_function SELECT '{kind}', function, count(*), count(*) * {size // making.rows}"
            f" FROM {kind} GROUP BY function"
        )


def _put(connection: sqlite3.Connection, table: str, columns: int, rows: list[tuple[object, ...]]) -> None:
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)


def _record(making: Making, number: int, function: str) -> model.Record:
    ended_at_ms, began = making.at_ms(number), root(number)
    duration_us = 2_000 + number * 7_919 % 90_000
    has_failed = number % 100 == 7
    return model.Record(
        invocation_id=making.id(number), attempt=1, function=function, revision=1,
        trigger="http" if began == number else "upload", mode=model.Mode.ASYNC,
        status=model.Status.ERROR if has_failed else model.Status.OK, accepted_at_ms=ended_at_ms - duration_us // 1_000,
        started_at_ms=ended_at_ms - duration_us // 1_000, ended_at_ms=ended_at_ms, queue_ms=3, init_ms=0,
        duration_us=duration_us, billed_ms=-(-duration_us // 1_000), memory_limit_mb=128, memory_peak_mb=30,
        cold_start=model.ColdStart.NONE, cost_micro=70, node="n", sandbox="s", cost_pico=70_000_000,
        depth=int(began != number), parent_id=None if began == number else making.id(began),
        root_id=None if began == number else making.id(began),
    )  # fmt: skip


def _row(record: model.Record, body: bytes) -> tuple[object, ...]:
    return (
        record.invocation_id, 1, record.function, record.status.value, record.ended_at_ms, record.duration_us,
        record.queue_ms, record.init_ms, "none", body, record.root_id, 1,
    )  # fmt: skip


def _chains(making: Making, numbers: range, records: list[model.Record]) -> Iterator[tuple[object, ...]]:
    for number, record in zip(numbers, records, strict=True):
        count = LONG_CHAIN if number % _LONG_EVERY == 0 else 2
        if root(number) == number and (root(number + 1) == number) and number + count <= making.rows:
            ended_at_ms = making.at_ms(number + count - 1)
            took_ms, cost_pico = ended_at_ms - record.accepted_at_ms, count * 70_000_000
            yield (
                record.invocation_id, record.function, record.trigger, None, record.accepted_at_ms, ended_at_ms,
                took_ms + number % 1_009, count, count * 30, cost_pico + number % 7,
                record.status.value, False,
            )  # fmt: skip


def _letter(record: model.Record, body: bytes) -> tuple[object, ...]:
    invocation = model.Invocation(
        id=record.invocation_id, function=record.function, revision=1, trigger="upload", mode=model.Mode.ASYNC,
        event=b'{"n": 1}', accepted_at_ms=record.accepted_at_ms,
    )  # fmt: skip
    return record.invocation_id, record.function, record.ended_at_ms, _encode(invocation), body, None, 1
