"""A table as lines of text, and what gives way when it is wider than its terminal; no I/O.

Nothing wraps inside a cell. What is too wide gives way in this order, each step only as far as needed:

1. ids are shortened to beginnings that tell them apart, which every command takes in place of the whole;
2. texts of `Column.cut` columns end in "…", the widest first, but keep 24 characters;
3. columns are left out, those with the lowest `Column.drop` first;
4. those texts are cut further, and lines end in "…" where nothing else helps.

Where there is no terminal there is no width, and all is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SHORT_ID = 18
"""Characters of an id that are shown at least: the moment it was made and twelve random bits."""

_GAP = "  "
_CUT = "…"
_LEAST = 8
"""Characters that a cut text keeps."""

_ROOM = 24
"""Characters of such a text that are worth more than another column."""

_NUMBER = re.compile(r"-|[0-9][0-9,]*(?:\.[0-9]+)?(?: [^0-9\s]+)?")

Row = tuple[str, ...]


class Column(NamedTuple):
    """A column: its name, and how it gives way. Without ``drop`` it stays."""

    name: str
    drop: int | None = None
    is_id: bool = False
    cut: bool = False


class Table(NamedTuple):
    """What is to be shown. ``total`` is the last row, under a line of its own."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None = None


def lines(table: Table, width: int | None) -> list[str]:
    """The header, the rows and the total. ``width`` is that of a terminal, which gets rules between them, too."""
    fitting = table if width is None else fitted(table, width)
    widths = _widths(fitting)
    right = [_is_right(fitting, at) for at in range(len(widths))]
    names = tuple(column.name for column in fitting.columns)
    found = [_line(row, widths, right) for row in (names, *fitting.rows, *_totals(fitting))]
    if width is None:
        return found
    # What cannot give way is cut here: a line that wraps breaks the columns of all the others.
    found = [cut(line, width) for line in found]
    rule = "─" * min(max(sum(widths) + len(_GAP) * (len(widths) - 1), 0), width)
    found.insert(1, rule)
    if fitting.total is not None:
        found.insert(-1, rule)
    return found


def fitted(table: Table, width: int) -> Table:
    """The table as wide as ``width`` at most, as far as its columns can give way."""
    # In this order: a shortened id still names its thing, a column that is left out tells nothing.
    if _width(table) > width:
        table = _with_short_ids(table)
    while _needed(table) > width and (droppable := _droppable(table)):
        table = _without(table, min(droppable)[1])
    return _with_cut_texts(table, width)


def size(text: str) -> int:
    """How many columns of a terminal a text takes."""
    # Nearly all are, and rich takes long to be imported.
    if text.isascii():
        return len(text)
    from rich import cells

    return cells.cell_len(text)


def cut(text: str, width: int) -> str:
    """The text, or as much of its beginning as fits with a mark that it goes on."""
    if size(text) <= width:
        return text
    from rich import cells

    return cells.set_cell_size(text, max(width - 1, 0)).rstrip() + _CUT


def short_length(ids: Iterable[str], least: int = SHORT_ID) -> int:
    """How many characters of these ids tell them apart, ``least`` at any rate."""
    whole = set(ids)
    longest = max(map(len, whole), default=least)
    return next((n for n in range(least, longest) if len({each[:n] for each in whole}) == len(whole)), longest)


def _with_short_ids(table: Table) -> Table:
    places = [at for at, column in enumerate(table.columns) if column.is_id]
    length = short_length(row[at] for row in table.rows for at in places)
    rows = tuple(tuple(cell[:length] if at in places else cell for at, cell in enumerate(row)) for row in table.rows)
    return table._replace(rows=rows)


def _droppable(table: Table) -> list[tuple[int, int]]:
    return [(column.drop, at) for at, column in enumerate(table.columns) if column.drop is not None]


def _without(table: Table, place: int) -> Table:
    def rest(row: tuple[str, ...]) -> Row:
        return (*row[:place], *row[place + 1 :])

    columns = tuple(column for at, column in enumerate(table.columns) if at != place)
    total = None if table.total is None else rest(table.total)
    return Table(columns, tuple(rest(row) for row in table.rows), total)


def _with_cut_texts(table: Table, width: int) -> Table:
    widths = _widths(table)
    over = _width(table) - width
    while over > 0:
        places = [at for at, column in enumerate(table.columns) if column.cut and widths[at] > _LEAST]
        if not places:
            break
        # One character at a time of the widest, so that all end up about as wide.
        widest = max(places, key=lambda at: widths[at])
        widths[widest] -= 1
        over -= 1
    rows = tuple(
        tuple(cut(cell, widths[at]) if table.columns[at].cut else cell for at, cell in enumerate(row))
        for row in table.rows
    )
    return table._replace(rows=rows)


def _totals(table: Table) -> tuple[Row, ...]:
    return () if table.total is None else (table.total,)


def _widths(table: Table) -> list[int]:
    names = tuple(column.name for column in table.columns)
    return [max(size(cell) for cell in cells) for cells in zip(names, *table.rows, *_totals(table), strict=True)]


def _width(table: Table) -> int:
    return sum(_widths(table)) + _gaps(table)


def _needed(table: Table) -> int:
    """The width below which a column is left out."""
    sizes = zip(table.columns, _widths(table), strict=True)
    return sum(min(each, _ROOM) if column.cut else each for column, each in sizes) + _gaps(table)


def _gaps(table: Table) -> int:
    return len(_GAP) * (len(table.columns) - 1)


def _is_right(table: Table, at: int) -> bool:
    """Whether a column stands to the right: it holds nothing but numbers."""
    return bool(table.rows) and all(_NUMBER.fullmatch(row[at]) for row in table.rows)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        " " * (widths[at] - size(cell)) + cell if right[at] else cell + " " * (widths[at] - size(cell))
        for at, cell in enumerate(row)
    ]
    return _GAP.join(padded).rstrip()
