"""A ledger that has much in it, written fast: functions, roll-ups of thirty days, records, log lines. SQLite only.

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

import msgspec

from faas.core import clock, groups, model
from faas.store import database, log_index, rollups, spans, tallies
from tests.bench import observe_records
from tests.bench.observe_records import Making

_MINUTES_DAYS = 3
_MARK = "observe.json"
_LINES_AT_ONCE = 20_000
_ARTIFACT = "0" * 64
_CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


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
    say("observe: making the index of log lines")
    _index(root)
    mark.write_text(json.dumps(wanted))


def _index(root: Path) -> None:
    indexer = log_index.Indexer(root / "ledger.db")
    engine = database.open_database(groups.Data(data_dir=str(root)))
    indexer.tidy(engine)
    engine.dispose()
    while indexer.step(_LINES_AT_ONCE) == _LINES_AT_ONCE:
        pass


def _migrations() -> Iterator[Path]:
    yield from (Path(database.__file__).parent / "migrations" / "versions").glob("0*.py")


def _functions(making: Making) -> None:
    config = msgspec.json.encode(_CONFIG)
    rows = [
        (observe_records.NAMES[n], 1, _ARTIFACT, config, making.now_ms - observe_records.DAYS * spans.DAY_MS)
        for n in range(observe_records.FUNCTIONS)
    ]
    making.connection.executemany(
        "INSERT INTO revisions (function, number, artifact, config, created_at_ms) VALUES (?, ?, ?, ?, ?)", rows
    )
    making.connection.executemany("INSERT INTO functions (name, current) VALUES (?, 1)", [row[:1] for row in rows])


def _rollups(making: Making) -> None:
    making.connection.execute("DROP INDEX rollups_by_function")
    today_ms = making.now_ms // spans.DAY_MS * spans.DAY_MS
    per_ms = making.rows / (observe_records.DAYS * spans.DAY_MS)
    row_of = _Rows(making.chance)
    for span_ms, days in (
        (spans.DAY_MS, observe_records.DAYS),
        (spans.HOUR_MS, observe_records.DAYS),
        (spans.MINUTE_MS, _MINUTES_DAYS),
    ):
        for at_ms in range(today_ms - days * spans.DAY_MS, making.now_ms, span_ms):
            called = _called(making.chance, round(per_ms * span_ms))
            counts = {**called, rollups.EVERYTHING: sum(called.values())}
            making.connection.executemany(
                f"INSERT INTO rollups VALUES ({', '.join('?' * 11)})",
                [(span_ms, at_ms, function, *row_of(counts[function])) for function in sorted(counts)],
            )
    making.connection.execute("CREATE INDEX rollups_by_function ON rollups (function, span_ms, at_ms)")


def _called(chance: random.Random, count: int) -> Counter[str]:
    """Which functions were called how often: some much more than others."""
    return Counter(chance.choices(observe_records.NAMES, observe_records.WEIGHTS, k=count))


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


def _sums(making: Making) -> None:
    """What bills and metrics read, of the same days."""
    of = (
        "SELECT date(at_ms / 1000, 'unixepoch'), function",
        f"FROM rollups WHERE span_ms = {spans.DAY_MS} AND function != ''",
    )
    making.connection.execute(
        f"INSERT INTO billed {of[0]}, 1, 'http', 128, count, count, billed_ms, cost_pico, count * 900 {of[1]}"
    )
    for status, cold_start, count in (("ok", "none", "count - errors"), ("error", "none", "errors")):
        sums = ", ".join(f"{count} * {each}" for each in (30, 70_000_000, 22_026, 3, 0))
        making.connection.execute(
            f"INSERT INTO totals {of[0]}, 'http', '{status}', '{cold_start}', {count}, {sums} {of[1]} AND {count} > 0"
        )
    making.connection.executemany(
        "INSERT INTO histograms VALUES (?, ?, ?, 1000, 22026000)",
        [
            (name, figure, bound_us)
            for name in observe_records.NAMES
            for figure in ("queue", "duration")
            for bound_us in (1_000, 5_000, 10_000, 25_000, 50_000, 100_000)
        ],
    )


def _records(making: Making) -> None:
    """Records of the last thirty days in order of time, with chains, dead letters and lines."""
    tables = ("records", "logs", "chains", "dead_letters")
    indexes = [sql for table in tables for sql in _dropped(making.connection, table)]
    sizes = observe_records.make(making)
    for index in indexes:
        making.connection.execute(index)
    observe_records.count(making, sizes)


def _dropped(connection: sqlite3.Connection, table: str) -> list[str]:
    """The indexes of a table, as they are to be made again when it is full."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (table,)
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


MAKERS: tuple[tuple[str, Callable[[Making], None]], ...] = (
    ("functions", _functions),
    ("roll-ups", _rollups),
    ("sums", _sums),
    ("records and log lines", _records),
)
"""What is made, in order, each in a transaction of its own."""
