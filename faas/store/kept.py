"""How much is kept of each kind, and how much was removed because its time had come.

Records and log lines are counted in the transactions that add and remove them, because counting millions of rows takes
seconds. Artifacts are counted by the job that removes them, whenever it looks. The rest is few, and counted when asked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa

from faas.store import bulk, schema

RECORDS, LOGS, DEAD_LETTERS, UNDELIVERED = "records", "logs", "dead_letters", "undelivered"
REVISIONS, ARTIFACTS = "revisions", "artifacts"
KINDS = (RECORDS, LOGS, DEAD_LETTERS, UNDELIVERED, REVISIONS, ARTIFACTS)
"""The kinds of what is kept."""

COUNTED = (RECORDS, LOGS)
"""Those that are counted, of all functions and of each, in the transactions that add and remove."""

_K = schema.kept
_F = schema.kept_by_function
_COUNTED = {
    DEAD_LETTERS: sa.select(sa.func.count()).select_from(schema.dead_letters),
    UNDELIVERED: sa.select(sa.func.count()).select_from(schema.undelivered),
    # A revision that was discarded is a row that only keeps its number.
    REVISIONS: sa.select(sa.func.count()).select_from(schema.revisions).where(schema.revisions.c.artifact != ""),
}


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one kind there is, and how much was removed since the platform was first started.

    ``bytes`` are those of bodies, texts and files; indexes come on top. They are 0 where only the number is known.
    """

    count: int = 0
    bytes: int = 0
    freed: int = 0
    freed_bytes: int = 0


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds, and the database as it lies on the disk; ``looked_at_ms`` is 0 before the job's first look.

    ``database_free_bytes`` are part of ``database_bytes``: what was removed left them, and what comes takes them.
    """

    kinds: Mapping[str, Kept]
    database_bytes: int
    database_free_bytes: int
    looked_at_ms: int


def read(engine: sa.Engine) -> Keeping:
    """What there is now."""
    with engine.connect() as connection:
        rows = {row.kind: row for row in connection.execute(sa.select(_K))}
        found = {kind: _kept(rows.get(kind)) for kind in KINDS}
        for kind, query in _COUNTED.items():
            found[kind] = msgspec.structs.replace(found[kind], count=int(connection.scalar(query) or 0))
        size, free = _database(connection)
    looked_at_ms = max((row.looked_at_ms for row in rows.values()), default=0)
    return Keeping(kinds=found, database_bytes=size, database_free_bytes=free, looked_at_ms=looked_at_ms)


def add_freed(connection: sa.Connection, kind: str, count: int, size: int) -> None:
    """Note in the transaction that removes it what goes. Of a kind that is counted, it is kept no longer."""
    counted = kind in COUNTED
    row: bulk.Row = (kind, -count if counted else 0, -size if counted else 0, count, size, 0)
    _adding(connection.dialect, _K).put(connection, [row])


def take_shares(connection: sa.Connection, kind: str, gone: Iterable[tuple[str, int]]) -> None:
    """Take what goes, functions and bytes, from what is kept of each function, where that is counted."""
    if kind not in COUNTED:
        return
    sums: dict[str, list[int]] = {}
    for function, size in gone:
        held = sums.setdefault(function, [0, 0])
        held[0] -= 1
        held[1] -= size
    rows: list[bulk.Row] = [(kind, function, count, size) for function, (count, size) in sums.items()]
    _adding(connection.dialect, _F).put(connection, rows)
    # Functions come and go: a row of one that has nothing left would stay for ever.
    connection.execute(_F.delete().where(_F.c.kind == kind, _F.c.function.in_(list(sums)), _F.c.count <= 0))


class RemovalNotes:
    """What the job writes down that removes things."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def freed(self, kind: str, count: int, size: int) -> None:
        """Note how much was removed of what is not in SQL."""
        with self._engine.begin() as connection:
            add_freed(connection, kind, count, size)

    def found(self, kind: str, count: int, size: int) -> None:
        """Note how much is there of a kind that is not in SQL."""
        with self._engine.begin() as connection:
            # Nothing is added, but the row is there then.
            _adding(connection.dialect, _K).put(connection, [(kind, 0, 0, 0, 0, 0)])
            # Set and not added: this is what was found, whatever was thought before.
            connection.execute(_K.update().where(_K.c.kind == kind).values(count=count, bytes=size))

    def looked(self, at_ms: int) -> None:
        """Note when a look at everything has ended."""
        with self._engine.begin() as connection:
            _adding(connection.dialect, _K).put(connection, [(RECORDS, 0, 0, 0, 0, 0)])
            connection.execute(_K.update().where(_K.c.kind == RECORDS).values(looked_at_ms=at_ms))


@functools.lru_cache(maxsize=8)
def _adding(dialect: sa.Dialect, table: sa.Table) -> bulk.Rows:
    """The statement, compiled once for a database: while a step that removes compiles it, no recorder can write."""
    return bulk.added(dialect, table)


def _kept(row: sa.Row[tuple[object, ...]] | None) -> Kept:
    if row is None:
        return Kept()
    return Kept(count=row.count, bytes=row.bytes, freed=row.freed, freed_bytes=row.freed_bytes)  # type: ignore[arg-type]


def _database(connection: sa.Connection) -> tuple[int, int]:
    """The bytes of the database, and those of its empty pages. PostgreSQL does not say the latter in short."""
    if connection.dialect.name != "sqlite":
        return int(connection.scalar(sa.select(sa.func.pg_database_size(sa.func.current_database()))) or 0), 0
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("page_count", "freelist_count", "page_size")
    )
    return pages * size, free * size
