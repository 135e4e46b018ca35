"""The index of the text of log lines, where the store is SQLite: files of its own beside the ledger, made later.

::

    ledger.db                          the lines
    ledger.search/00000000000000000001.fts   an index of the lines from this id on (a segment)
    ledger.search/00000000000001000001.fts   the next; only the last one grows

To index a line costs several times what it costs to record it, so the recorder does not: whoever has time does
(`Indexer`), and a search reads the lines that are not indexed yet. A segment holds, for each three characters in a row,
the ids of the lines that have them (FTS5's trigrams), so it finds parts of words as well; what it finds is looked at in
the ledger. Everything here can be removed at any moment and is made again. This is the one module that speaks SQL of
its own: SQLAlchemy knows nothing of FTS5.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from faas.core import clock
from faas.store import schema

SEGMENT_LINES = 1_000_000
SHORTEST = 3
"""Characters of the shortest text that is looked up."""

_AT_ONCE = 500
_MOST_TRIGRAMS = 16
_LOOK_EVERY = 1_000
"""Instructions of SQLite's between two looks at the time: some microseconds."""

_TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE about (
    first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, lines INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, last_at_ms INTEGER NOT NULL, last_invocation TEXT NOT NULL
);
CREATE VIRTUAL TABLE lines USING fts5(text, content='', detail='none', columnsize=0, tokenize='trigram');
"""
_L = schema.logs


class IdRange(msgspec.Struct, frozen=True):
    """Ids from ``first`` to ``last``, both within; none when ``last`` is less."""

    first: int
    last: int

    def cut(self, width: int, *, from_end: bool) -> tuple[IdRange, IdRange]:
        """A part of so many ids, and the rest."""
        if from_end:
            at = max(self.first, self.last - width + 1)
            return IdRange(at, self.last), IdRange(self.first, at - 1)
        at = min(self.last, self.first + width - 1)
        return IdRange(self.first, at), IdRange(at + 1, self.last)

    def within(self, other: IdRange) -> IdRange:
        """What both have."""
        return IdRange(max(self.first, other.first), min(self.last, other.last))


class About(msgspec.Struct, frozen=True):
    """What a segment covers: ids, the moments of its lines, and by what its last line is known."""

    first_id: int
    last_id: int
    lines: int
    first_ms: int
    last_ms: int
    last_at_ms: int
    last_invocation: str


class Segment(msgspec.Struct, frozen=True):
    """One file of the index."""

    path: Path
    about: About

    @property
    def ids(self) -> IdRange:
        """The ids that it covers."""
        return IdRange(self.about.first_id, self.about.last_id)

    def candidates(
        self, needles: Sequence[str], ids: IdRange, *, newest: bool, until_s: float
    ) -> Iterator[tuple[Sequence[int], int]]:
        """Ids of lines that may hold all of the texts, some at a time, and the id up to which there are no others.

        It ends when the range is through, or when the time is up: then what it gave last says how far it came. Raises
        `sqlite3.DatabaseError` when the file is damaged, or has gone.
        """
        asked = _match(needles)
        order = "DESC" if newest else "ASC"
        query = (
            "SELECT rowid FROM lines WHERE lines MATCH ? AND rowid BETWEEN ? AND ?"  # noqa: S608 - one of two words
            f" ORDER BY rowid {order} LIMIT {_AT_ONCE}"
        )
        with contextlib.closing(_opened(self.path)) as connection:
            connection.set_progress_handler(lambda: int(clock.steady_s() >= until_s), _LOOK_EVERY)
            while ids.first <= ids.last:
                try:
                    found = [row[0] for row in connection.execute(query, (asked, ids.first, ids.last))]
                except sqlite3.OperationalError:
                    if clock.steady_s() >= until_s:  # it was interrupted
                        return
                    raise
                if len(found) < _AT_ONCE:
                    yield found, ids.first if newest else ids.last
                    return
                yield found, found[-1]
                ids = IdRange(ids.first, found[-1] - 1) if newest else IdRange(found[-1] + 1, ids.last)


class LogIndex:
    """All segments of one ledger, as a search sees them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def segments(self) -> list[Segment]:
        """The segments that can be read, in the order of their ids."""
        found = []
        for path in sorted(self.folder.glob("*.fts")):
            with contextlib.suppress(sqlite3.Error), contextlib.closing(_opened(path)) as connection:
                row = connection.execute("SELECT * FROM about").fetchone()
                if row is not None:
                    found.append(Segment(path, About(*row)))
        return found

    def pieces(
        self, connection: sa.Connection, bounds: IdRange, since_ms: int | None, until_ms: int | None
    ) -> list[tuple[IdRange, Segment | None]]:
        """A range in pieces, each with the segment that covers it, if any.

        What a segment covers that was printed at another time than is wanted is left out altogether.
        """
        segments = self.segments()
        if segments and not is_of(connection, segments[-1].about):
            return [(bounds, None)]
        found: list[tuple[IdRange, Segment | None]] = []
        at = bounds.first
        for segment in segments:
            piece = segment.ids.within(IdRange(at, bounds.last))
            if piece.first > piece.last:
                continue
            if piece.first > at:
                found.append((IdRange(at, piece.first - 1), None))
            if _overlaps(segment.about, since_ms, until_ms):
                found.append((piece, segment))
            at = piece.last + 1
        return [*found, (IdRange(at, bounds.last), None)] if at <= bounds.last else found


class Indexer:
    """Brings the index up to date. One at a time for each folder: see `faas.store.turns`."""

    def __init__(self, ledger: Path, segment_lines: int = SEGMENT_LINES) -> None:
        self._ledger = ledger
        self._index = LogIndex(folder_of(ledger))
        self._segment_lines = segment_lines

    def tidy(self, engine: sa.Engine) -> None:
        """Remove segments of which no line is left, and all of them when the lines are not those that were indexed."""
        self._index.folder.mkdir(mode=0o700, exist_ok=True)
        known = self._index.segments()
        with engine.connect() as connection:
            first = int(connection.scalar(sa.select(sa.func.min(_L.c.id))) or 0)
            is_ours = not known or is_of(connection, known[-1].about)
        kept = {segment.path for segment in known if is_ours and segment.about.last_id >= first}
        for path in self._index.folder.glob("*.fts"):
            if path not in kept:
                _remove(path)

    def step(self, lines: int) -> int:
        """Index the next lines, so many at most; how many these were. Raises `sqlite3.Error`."""
        segments = self._index.segments()
        last = segments[-1] if segments else None
        try:
            return self._step(last, lines)
        except sqlite3.OperationalError:  # a full disk, or somebody else at work: the file is sound
            raise
        except sqlite3.DatabaseError:
            if last is None:
                raise
            _remove(last.path)
            return self.step(lines)

    def _step(self, last: Segment | None, lines: int) -> int:
        if last is not None and last.about.lines < self._segment_lines:
            return self._index_into(last.path, last.about.last_id, lines)
        after = last.about.last_id if last is not None else 0
        path = self._index.folder / f"{after + 1:020d}.fts"
        _remove(path)  # one that was begun, and holds nothing
        if last is not None:
            _optimize(last.path)
        return self._index_into(path, after, lines)

    def _index_into(self, path: Path, after: int, lines: int) -> int:
        is_new = not path.exists()
        with contextlib.closing(
            sqlite3.connect(path.absolute().as_uri(), uri=True, isolation_level=None)
        ) as connection:
            if is_new:
                path.chmod(0o600)
                connection.executescript(_TABLES)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("ATTACH ? AS ledger", (_read_only(self._ledger),))
            connection.execute("BEGIN IMMEDIATE")
            some = "(SELECT id, at_ms FROM ledger.logs WHERE id > ? ORDER BY id LIMIT ?)"
            count, last_id, first_ms, last_ms = connection.execute(
                f"SELECT count(*), max(id), min(at_ms), max(at_ms) FROM {some}",  # noqa: S608 - our own words
                (after, lines),
            ).fetchone()
            if count:
                connection.execute(
                    "INSERT INTO lines (rowid, text) SELECT id, text FROM ledger.logs WHERE id > ? AND id <= ?",
                    (after, last_id),
                )
                self._note(connection, About(after + 1, last_id, count, first_ms, last_ms, 0, ""))
            connection.execute("COMMIT")
        return int(count)

    def _note(self, connection: sqlite3.Connection, new: About) -> None:
        before = connection.execute("SELECT * FROM about").fetchone()
        was = About(*before) if before is not None else None
        at_ms, invocation = connection.execute(
            "SELECT at_ms, invocation_id FROM ledger.logs WHERE id = ?", (new.last_id,)
        ).fetchone()
        connection.execute("DELETE FROM about")
        connection.execute(
            "INSERT INTO about VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                was.first_id if was else new.first_id,
                new.last_id,
                new.lines + (was.lines if was else 0),
                min(new.first_ms, was.first_ms) if was else new.first_ms,
                max(new.last_ms, was.last_ms) if was else new.last_ms,
                at_ms,
                invocation,
            ),
        )


def of(engine: sa.Engine) -> LogIndex | None:
    """The index beside a ledger; None where the store is no file of SQLite's."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return LogIndex(folder_of(Path(engine.url.database)))


def folder_of(ledger: Path) -> Path:
    """Where the index of a ledger is."""
    return ledger.with_suffix(".search")


def is_of(connection: sa.Connection, about: About) -> bool:
    """Whether the lines are those that were indexed.

    SQLite gives ids anew once the last lines have been removed, and a ledger may have been put back from a copy.
    """
    last = connection.scalar(sa.select(sa.func.max(_L.c.id))) or 0
    row = connection.execute(sa.select(_L.c.at_ms, _L.c.invocation_id).where(_L.c.id == about.last_id)).first()
    return last >= about.last_id and (row is None or tuple(row) == (about.last_at_ms, about.last_invocation))


def _overlaps(about: About, since_ms: int | None, until_ms: int | None) -> bool:
    is_before = since_ms is not None and about.last_ms < since_ms
    is_after = until_ms is not None and about.first_ms > until_ms
    return not (is_before or is_after)


def _match(needles: Sequence[str]) -> str:
    """A query for lines that hold all of the trigrams of some texts: which in what order is looked at elsewhere."""
    trigrams = [text[at : at + 3] for text in needles for at in range(len(text) - 2)]
    # Of a long text some are enough; those at both its ends tell most.
    some = trigrams[:: -(-len(trigrams) // _MOST_TRIGRAMS)] + trigrams[-1:]
    quoted = ['"' + each.replace('"', '""') + '"' for each in dict.fromkeys(some)]
    return " AND ".join(quoted)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(_read_only(path), uri=True, check_same_thread=False)


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"


def _optimize(path: Path) -> None:
    """Merge what a segment holds into one tree, which is found through quickest, now that nothing is added to it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO lines (lines) VALUES ('optimize')")


def _remove(path: Path) -> None:
    for each in (path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))):
        each.unlink(missing_ok=True)
