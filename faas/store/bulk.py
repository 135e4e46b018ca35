"""Statements for many rows, compiled once: SQLAlchemy would take several times as long over a row as the database."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[object, ...]
# A fifth to a quarter less time than one by one. More gain nothing, and SQLite bounds the values of a statement.
_AT_ONCE = 50


class _Statement:
    """An insert of a number of rows, whose values are in the order of ``columns``, which is the table's."""

    def __init__(self, dialect: sa.Dialect, insert: sa.Insert, columns: Sequence[str], rows: int) -> None:
        compiled = insert.inline().values([dict.fromkeys(columns)] * rows).compile(dialect=dialect)
        self._text = str(compiled)
        # PostgreSQL's driver takes the values by name.
        self._names = None if compiled.positional else tuple(compiled.params)
        self._rows = rows

    def execute(self, connection: sa.Connection, rows: Sequence[Row]) -> int:
        """Execute it for as many rows as it can; how many these were."""
        end = len(rows) - len(rows) % self._rows
        starts = range(0, end, self._rows)
        values = [tuple(itertools.chain.from_iterable(rows[start : start + self._rows])) for start in starts]
        names = self._names
        if values and names is None:
            connection.exec_driver_sql(self._text, values)
        elif values and names is not None:
            connection.exec_driver_sql(self._text, [dict(zip(names, row, strict=True)) for row in values])
        return end


class Rows:
    """Puts rows into a table. Their values are in the order of its columns."""

    def __init__(self, *statements: _Statement) -> None:
        self._statements = statements

    def put(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Put them there, in order."""
        for statement in self._statements:
            rows = rows[statement.execute(connection, rows) :]


def inserted(dialect: sa.Dialect, table: sa.Table) -> Rows:
    """Rows become rows of the table; numbers that the database gives them itself are left out."""
    columns = [column.name for column in table.c if column is not table.autoincrement_column]
    return Rows(*(_Statement(dialect, table.insert(), columns, rows) for rows in (_AT_ONCE, 1)))


def added(dialect: sa.Dialect, table: sa.Table) -> Rows:
    """Rows are added to those of the same primary key, number by number; new ones are inserted."""
    insert = (sqlite if dialect.name == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    sums = {column.name: column + insert.excluded[column.name] for column in table.c if column.name not in keys}
    upsert = insert.on_conflict_do_update(index_elements=keys, set_=sums)
    # One statement may not change the same row twice.
    return Rows(_Statement(dialect, upsert, table.c.keys(), 1))


def replaced(dialect: sa.Dialect, table: sa.Table) -> Rows:
    """Rows take the place of those of the same primary key; new ones are inserted. No two may have the same key."""
    insert = (sqlite if dialect.name == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    values = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
    upsert = insert.on_conflict_do_update(index_elements=keys, set_=values)
    return Rows(*(_Statement(dialect, upsert, table.c.keys(), rows) for rows in (_AT_ONCE, 1)))
