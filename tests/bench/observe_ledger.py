"""A ledger that has much in it, written fast: functions, roll-ups of thirty days and log lines. SQLite only.

It is kept between runs, and made anew when another size is asked for or its tables have changed. What is in it reads
like what the platform writes; sums of days are not those of their hours.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from faas.core import clock, groups, ids, model
from faas.store import database, rollups, spans, tallies

FUNCTIONS = 10_000
DAYS = 30
_MINUTES_DAYS = 3
_MARK = "observe.json"
_LINES_AT_ONCE = 50_000
_ARTIFACT = "0" * 64
_CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


class Making(NamedTuple):
    """What a maker works with: ``rows`` are records, and lines of logs."""

    connection: sqlite3.Connection
    rows: int
    now_ms: int
    chance: random.Random
    say: Callable[[str], None]


def name_of(number: int) -> str:
    """The name of a function; the lower the number, the more it was called."""
    return f"fn-{number:05d}"


def ensure(root: Path, rows: int, say: Callable[[str], None]) -> None:
    """Make the ledger of a data directory, unless it is there."""
    wanted = {
        "rows": rows,
        "migrations": sorted(each.name for each in _migrations()),
        "day": clock.now_ms() // spans.DAY_MS,
    }
    mark = root / _MARK
    if mark.exists() and json.loads(mark.read_text()) == wanted:
        return
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    database.open_database(groups.Data(data_dir=str(root))).dispose()
    connection = sqlite3.connect(root / "ledger.db", isolation_level=None)
    connection.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-400000; PRAGMA wal_autocheckpoint=100000")
    making = Making(connection, rows, clock.now_ms(), random.Random(1), say)
    for name, make in MAKERS:
        say(f"observe: making {name}")
        connection.execute("BEGIN")
        make(making)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    mark.write_text(json.dumps(wanted))


def _migrations() -> Iterator[Path]:
    yield from (Path(database.__file__).parent / "migrations" / "versions").glob("0*.py")


def _functions(making: Making) -> None:
    config = msgspec.json.encode(_CONFIG)
    rows = [(name_of(n), 1, _ARTIFACT, config, making.now_ms - DAYS * spans.DAY_MS) for n in range(FUNCTIONS)]
    making.connection.executemany(
        "INSERT INTO revisions (function, number, artifact, config, created_at_ms) VALUES (?, ?, ?, ?, ?)", rows
    )
    making.connection.executemany("INSERT INTO functions (name, current) VALUES (?, 1)", [row[:1] for row in rows])


def _rollups(making: Making) -> None:
    making.connection.execute("DROP INDEX rollups_by_function")
    today_ms = making.now_ms // spans.DAY_MS * spans.DAY_MS
    per_ms = making.rows / (DAYS * spans.DAY_MS)
    row_of = _Rows(making.chance)
    for span_ms, days in ((spans.DAY_MS, DAYS), (spans.HOUR_MS, DAYS), (spans.MINUTE_MS, _MINUTES_DAYS)):
        for at_ms in range(today_ms - days * spans.DAY_MS, making.now_ms, span_ms):
            called = _called(making.chance, round(per_ms * span_ms))
            counts = {**called, rollups.EVERYTHING: sum(called.values())}
            making.connection.executemany(
                f"INSERT INTO rollups VALUES ({', '.join('?' * 10)})",
                [(span_ms, at_ms, function, *row_of(counts[function])) for function in sorted(counts)],
            )
    making.connection.execute("CREATE INDEX rollups_by_function ON rollups (function, span_ms, at_ms)")


_WEIGHTS = [1 / (number + 50) ** 0.7 for number in range(FUNCTIONS)]
_NAMES = [name_of(number) for number in range(FUNCTIONS)]


def _called(chance: random.Random, count: int) -> Counter[str]:
    """Which functions were called how often: some much more than others."""
    return Counter(chance.choices(_NAMES, _WEIGHTS, k=count))


class _Rows:
    """Stored rows of so many records. Those of about as many share their sketches: to make each would take hours."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made: dict[int, list[tallies.KindsRow]] = {}

    def __call__(self, count: int) -> tuple[object, ...]:
        size = min(1 << count.bit_length() - 1, 1 << 14)
        made = self._made.get(size) or self._made.setdefault(size, [self._row(size) for _ in range(16)])
        row = made[self._chance.randrange(16)]
        return (count, *row[1:3], count * 30, count * 70_000_000, *row[5:])

    def _row(self, size: int) -> tallies.KindsRow:
        groups = []
        typical_us = self._chance.choice([8, 10, 12])
        for status, cold_start, share in (("ok", "none", 0.96), ("ok", "prewarmed", 0.03), ("error", "none", 0.01)):
            count = math.ceil(size * share) if status == "ok" and cold_start == "none" else round(size * share)
            if count:
                groups.append(self._group(count, status, cold_start, typical_us))
        return tallies.row(
            {group.kind: tally for group, tally in zip(groups, tallies.by_kind(groups).values(), strict=True)}
        )

    def _group(self, count: int, status: str, cold_start: str, typical_us: int) -> tallies.TallyGroup:
        records = [
            model.Record(
                invocation_id="", attempt=1, function="f", revision=1, trigger="http", mode=model.Mode.SYNC,
                status=model.Status(status), accepted_at_ms=0, started_at_ms=0, ended_at_ms=0,
                queue_ms=int(self._chance.expovariate(0.3)), init_ms=int(self._chance.lognormvariate(3, 0.5)),
                duration_us=int(self._chance.lognormvariate(typical_us, 0.7)), billed_ms=30, memory_limit_mb=128,
                memory_peak_mb=30, cold_start=model.ColdStart(cold_start), cost_micro=0, node="n", sandbox="s",
                cost_pico=70_000_000,
            )
            for _ in range(count)
        ]  # fmt: skip
        return tallies.group(0, records)


def _lines(making: Making) -> None:
    """Lines of the last thirty days in order of time, three an invocation."""
    step_ms = DAYS * spans.DAY_MS / making.rows
    first_ms = making.now_ms - DAYS * spans.DAY_MS
    indexes = _dropped(making.connection, "logs")
    for start in range(0, making.rows, _LINES_AT_ONCE):
        count = min(_LINES_AT_ONCE, making.rows - start)
        functions = making.chance.choices(_NAMES, _WEIGHTS, k=count // 3 + 1)
        made = [ids.new_id() for _ in functions]
        making.connection.executemany(
            "INSERT INTO logs (at_ms, function, revision, invocation_id, attempt, text) VALUES (?, ?, 1, ?, 1, ?)",
            [
                (
                    int(first_ms + (start + n) * step_ms),
                    functions[n // 3],
                    made[n // 3],
                    _text(start + n, functions[n // 3]),
                )
                for n in range(count)
            ],
        )
    for index in indexes:
        making.connection.execute(index)
    size = making.connection.execute("SELECT coalesce(sum(length(text)), 0) FROM logs").fetchone()[0]
    making.connection.execute("UPDATE kept SET count = ?, bytes = ? WHERE kind = 'logs'", (making.rows, size))


def _dropped(connection: sqlite3.Connection, table: str) -> list[str]:
    """The indexes of a table, as they are to be made again when it is full."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (table,)
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


def _text(number: int, function: str) -> str:
    return (
        f"[INFO]\tstarted {function} for customer {number % 9_973}",
        f'{{"level": "info", "message": "read object", "size": {number % 100_003}, "function": "{function}"}}',
        f"done, request {number:08x} took {number % 977} ms",
    )[number % 3]


MAKERS: tuple[tuple[str, Callable[[Making], None]], ...] = (
    ("functions", _functions),
    ("roll-ups", _rollups),
    ("log lines", _lines),
)
"""What is made, in order, each in a transaction of its own."""
