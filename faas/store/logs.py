"""Log lines of all attempts, read by function, invocation, time or what stands in them. `faas.store.writing` writes.

A search goes through the lines in steps, from the newest back or from a line forward, until it has what was asked for,
or its time is up: then it says how far it came, and the next goes on from there. A step is a range of ids. Text is
looked up in the index (`faas.store.log_index`) where it covers the range; the rest is read. What SQL cannot tell (the
fields of a line, letters other than ASCII) is decided here, line by line.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import clock
from faas.core.logs import filters, log_lines
from faas.store import log_index, schema

WITHIN_S = 0.7
"""How long one search may take, give or take a step."""

MOST_BYTES = 4 * 1024 * 1024
"""Characters of what one search finds: an attempt may print 256 KiB in a line."""

_L = schema.logs
_R = schema.records
_ERROR = log_lines.LEVELS["error"]
_FIRST_STEP = 10_000
_LONGEST_STEP = 1 << 24
_QUICK_S, _SLOW_S = 0.03, 0.12
_AT_ONCE = 50
_NEAR = 20_000
_LATE_MS = 3_600_000
"""By how much later than it was printed a line may be recorded, and still be found by ``until_ms``."""

_FEW = 20_000
"""Lines of a function that are rather read than looked up among those of all."""


class FoundLines(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found, in order. Up to ``reached_id`` everything was looked at, in the direction of the search.

    ``is_cut`` says that its time was up before it came to the end, or that it had found `MOST_BYTES`; ``reached_ms`` is
    then when that line was printed.
    """

    lines: Sequence[log_lines.LogRow]
    reached_id: int
    is_cut: bool = False
    reached_ms: int | None = None


class Logs:
    """Reads log lines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._index = log_index.of(engine)

    def find(
        self,
        wanted: filters.LogFilter,
        *,
        after_id: int = 0,
        before_id: int | None = None,
        limit: int = 1000,
        newest: bool = False,
        within_s: float = WITHIN_S,
    ) -> FoundLines:
        """The first ``limit`` rows after a line that fit, or the last before one when ``newest``; in order.

        Very short lines, of which there were many, are kept several in a row and have one id: more may come then.
        """
        with self._engine.connect() as connection:
            bounds = _bounds(connection, wanted, after_id, before_id)
            search = _Search(connection, wanted, limit, newest, clock.steady_s() + within_s)
            return search.through(bounds, self._index)

    def lines(
        self, function: str | None = None, *, after_id: int = 0, limit: int = 1000, search: str | None = None
    ) -> Sequence[log_lines.LogRow]:
        """The first ``limit`` rows after a line: of one function, or all; that hold a text, or all."""
        wanted = filters.LogFilter(functions=() if function is None else (function,), grep=search)
        return self.find(wanted, after_id=after_id, limit=limit).lines

    def last_id(self) -> int:
        """The id of the newest line of all; 0 when there is none."""
        with self._engine.connect() as connection:
            return _last_id(connection)


class _Search:
    """One search: what it has found, and how far it came."""

    def __init__(
        self, connection: sa.Connection, wanted: filters.LogFilter, limit: int, newest: bool, until_s: float
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._limit = limit
        self._newest = newest
        self._until_s = until_s
        self._needles = [each for each in needles(wanted) if len(each) >= log_index.SHORTEST]
        self._rows: list[log_lines.LogRow] = []
        self._lines: list[log_lines.LogRow] = []
        self._reached = 0
        self._left = MOST_BYTES
        self._is_over = False
        """Whether it stopped at a row, up to which it came."""

    def through(self, bounds: log_index.IdRange, index: log_index.LogIndex | None) -> FoundLines:
        """Search the ids of a range."""
        self._reached = bounds.first - 1 if self._newest else bounds.last
        is_cut = not self._take_all(bounds, index)
        lines = self._lines[::-1] if self._newest else self._lines
        if is_cut:
            return FoundLines(lines=lines, reached_id=self._reached, is_cut=True, reached_ms=self._moment())
        return FoundLines(lines=lines[-self._limit :] if self._newest else lines, reached_id=self._reached)

    def _take_all(self, bounds: log_index.IdRange, index: log_index.LogIndex | None) -> bool:
        """Whether the search came to its end: there are enough, or there is nothing more."""
        if self._wanted.invocation_id is not None or self._wanted.root_id is not None:
            # Lines that an index has by the invocation: few as a rule, but a chain may be long.
            is_whole = self._take(self._within(bounds))
            if len(self._rows) >= self._limit:
                self._reached = self._rows[-1].id
            return is_whole
        for piece, segment in self._pieces(bounds, index):
            steps = self._looked_up(piece, segment) if segment is not None else self._read(piece)
            for reached in steps:
                if len(self._rows) >= self._limit:
                    self._reached = self._rows[-1].id
                    return True
                if self._is_over:
                    return False
                self._reached = reached
                if clock.steady_s() >= self._until_s:
                    break
            if clock.steady_s() >= self._until_s:
                return self._reached == self._end_of(bounds)
        self._reached = self._end_of(bounds)
        return True

    def _end_of(self, bounds: log_index.IdRange) -> int:
        return bounds.first if self._newest else bounds.last

    def _pieces(
        self, bounds: log_index.IdRange, index: log_index.LogIndex | None
    ) -> Iterator[tuple[log_index.IdRange, log_index.Segment | None]]:
        """The range in pieces, in the order of the search, each with the part of the index that covers it."""
        if index is None or not self._needles or self._has_few(bounds):
            yield bounds, None
            return
        found = index.pieces(self._connection, bounds, self._wanted.since_ms, self._wanted.until_ms)
        yield from reversed(found) if self._newest else found

    def _has_few(self, bounds: log_index.IdRange) -> bool:
        """Whether so few lines are of the functions that are asked for that reading them is quicker than the index."""
        if not self._wanted.functions:
            return False
        some = sa.select(sa.literal(1)).where(
            _L.c.function.in_(self._wanted.functions), _L.c.id.between(bounds.first, bounds.last)
        )
        counted = sa.select(sa.func.count()).select_from(some.limit(_FEW + 1).subquery())
        return int(self._connection.scalar(counted) or 0) <= _FEW

    def _read(self, piece: log_index.IdRange) -> Iterator[int]:
        """Read a range in steps; the id up to which each came."""
        width = _FIRST_STEP
        while piece.first <= piece.last:
            step, piece = piece.cut(width, from_end=self._newest)
            began_s = clock.steady_s()
            self._take(self._within(step))
            took_s = clock.steady_s() - began_s
            if self._is_over:
                yield self._reached
                return
            width = min(width * 4, _LONGEST_STEP) if took_s < _QUICK_S else width // 2 if took_s > _SLOW_S else width
            yield step.first if self._newest else step.last

    def _looked_up(self, piece: log_index.IdRange, segment: log_index.Segment) -> Iterator[int]:
        """Read those lines of a range that the index knows to hold the text; the id up to which each step came."""
        left = piece
        try:
            for ids, reached in segment.candidates(self._needles, piece, newest=self._newest, until_s=self._until_s):
                if ids:
                    self._take(_L.c.id.in_(ids))
                left = (
                    log_index.IdRange(piece.first, reached - 1)
                    if self._newest
                    else log_index.IdRange(reached + 1, piece.last)
                )
                yield reached
        except sqlite3.DatabaseError:
            # The file is damaged or was just removed: the lines are there all the same.
            yield from self._read(left)

    def _within(self, step: log_index.IdRange) -> sa.ColumnElement[bool]:
        return _L.c.id.between(step.first, step.last)

    def _take(self, range_: sa.ColumnElement[bool]) -> bool:
        """Take rows of a range that fit, as far as there is room; False when time or bytes were over before its end."""
        read = query(self._wanted, range_, self._connection.dialect.name, newest=self._newest)
        if not self._wanted.reads_text:
            read = read.limit(self._limit - len(self._rows))
        with self._connection.execute(read, execution_options={"yield_per": _AT_ONCE}) as result:
            for row in result:
                lines = self._fitting(row)
                if lines:
                    self._rows.append(lines[0])
                    self._lines += lines[::-1] if self._newest else lines
                    self._left -= sum(line.characters for line in lines)
                if len(self._rows) >= self._limit:
                    return True
                if self._left <= 0 or clock.steady_s() >= self._until_s + _SLOW_S:
                    self._reached, self._is_over = row.id, True
                    return False
        return True

    def _fitting(self, row: sa.Row[tuple[object, ...]]) -> list[log_lines.LogRow]:
        """The lines of a row that fit."""
        found = []
        for text in log_lines.each_of(row.text):
            facts = log_lines.read(text)
            if not self._wanted.reads_text or self._wanted.wants_text(text, facts):
                found.append(
                    log_lines.LogRow(
                        id=row.id,
                        at_ms=row.at_ms,
                        function=row.function,
                        revision=row.revision,
                        invocation_id=row.invocation_id,
                        attempt=row.attempt,
                        text=text,
                        level=log_lines.level_name(facts.level),
                        fields=facts.fields or None,
                    )
                )
        return found

    def _moment(self) -> int | None:
        """When the line was printed that the search came to, or the next that there is."""
        query = sa.select(_L.c.at_ms).where(_L.c.id >= self._reached).order_by(_L.c.id).limit(1)
        return self._connection.scalar(query)


def query(
    wanted: filters.LogFilter, range_: sa.ColumnElement[bool], dialect: str, *, newest: bool
) -> sa.Select[tuple[object, ...]]:
    """What is read of a range: all that fits, and of texts some more."""
    read = sa.select(_L).where(range_, *_terms(wanted, dialect)).order_by(_L.c.id.desc() if newest else _L.c.id)
    if wanted.level is not None and wanted.level >= _ERROR and not wanted.functions:
        read = read.with_hint(_L, "INDEXED BY logs_of_errors", "sqlite")
    return read


def needles(wanted: filters.LogFilter) -> tuple[str, ...]:
    """Texts that a line holds that fits: what is looked for, and the names of fields as JSON writes them."""
    texts = [wanted.grep] if wanted.grep else []
    texts += [text for each in wanted.where for text in each.written]
    return tuple(part for text in texts if (part := _plain_part(text)))


def _plain_part(text: str) -> str:
    """The longest part of a text that is in one case only, or in ASCII: databases know no other letters' cases."""
    parts = "".join(each if each.isascii() or each.lower() == each.upper() else "\0" for each in text).split("\0")
    return max(parts, key=len)


def _terms(wanted: filters.LogFilter, dialect: str) -> list[sa.ColumnElement[bool]]:
    """What SQL can tell of what is wanted. It lets through all that fits, and of texts some more."""
    terms: list[sa.ColumnElement[bool]] = []
    if wanted.functions:
        terms.append(_L.c.function.in_(wanted.functions))
    if wanted.invocation_id is not None:
        terms.append(_L.c.invocation_id == wanted.invocation_id)
    if wanted.root_id is not None:
        # The first invocation of a chain names no root: it is the root.
        chain = sa.select(_R.c.invocation_id).where(_R.c.root_id == wanted.root_id)
        terms.append(sa.or_(_L.c.invocation_id == wanted.root_id, _L.c.invocation_id.in_(chain)))
    if wanted.since_ms is not None:
        terms.append(_L.c.at_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        terms.append(_L.c.at_ms <= wanted.until_ms)
    if wanted.level is not None:
        terms.append(_L.c.level >= wanted.level)
        if wanted.level >= _ERROR:
            # As the index of errors has it, word for word: else SQLite does not see that it may use it.
            terms.append(sa.text("logs.level >= 40"))  # type: ignore[arg-type]
    if wanted.statuses:
        ended = sa.select(sa.literal(1)).where(
            _R.c.invocation_id == _L.c.invocation_id,
            _R.c.attempt == _L.c.attempt,
            _R.c.status.in_(wanted.statuses),
        )
        terms.append(ended.exists())
    terms += [_holds(text, dialect) for text in needles(wanted)]
    return terms


def _holds(text: str, dialect: str) -> sa.ColumnElement[bool]:
    """Whether a line contains a text, in any case."""
    escaped = re.sub(r"([%_/])", r"/\1", text)
    # SQLite's LIKE knows no case. To lower each line before would take three times as long, and hide it from an index.
    like = _L.c.text.like if dialect == "sqlite" else _L.c.text.ilike
    return like(f"%{escaped}%", escape="/")


def _bounds(
    connection: sa.Connection, wanted: filters.LogFilter, after_id: int, before_id: int | None
) -> log_index.IdRange:
    """The ids among which all is that may fit. Ids grow in the order of recording, which is nearly that of time."""
    last = _last_id(connection)
    first = int(connection.scalar(sa.select(sa.func.min(_L.c.id))) or 1)
    if before_id is not None:
        last = min(last, before_id - 1)
    if wanted.since_ms is not None:
        # What was recorded first of the lines printed just after then; with room for some that took longer.
        some = sa.select(_L.c.id).where(_L.c.at_ms >= wanted.since_ms).order_by(_L.c.at_ms).limit(_NEAR)
        earliest = connection.scalar(sa.select(sa.func.min(some.subquery().c.id)))
        first = max(first, (last + 1 if earliest is None else earliest) - _NEAR)
    if wanted.until_ms is not None:
        past_ms = wanted.until_ms + _LATE_MS
        some = sa.select(_L.c.id).where(_L.c.at_ms <= past_ms).order_by(_L.c.at_ms.desc()).limit(_NEAR)
        latest = connection.scalar(sa.select(sa.func.max(some.subquery().c.id)))
        last = min(last, (latest or 0) + _NEAR)
    return log_index.IdRange(max(first, after_id + 1), last)


def _last_id(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.max(_L.c.id))) or 0)
