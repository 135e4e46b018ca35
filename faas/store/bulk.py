"""Statements for many rows, compiled once: SQLAlchemy would take several times as long over a row as the database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[object, ...]


class ForRows:
    """A statement that is executed for each of many rows, whose values are in the order of ``columns``."""

    def __init__(self, dialect: sa.Dialect, statement: sa.Insert, columns: Sequence[str]) -> None:
        compiled = statement.inline().compile(dialect=dialect, column_keys=list(columns))
        self._text = str(compiled)
        # PostgreSQL's driver takes the values by name.
        self._names = None if compiled.positional else tuple(columns)

    def execute(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Execute it for the rows, in order."""
        if not rows:
            return
        names = self._names
        if names is None:
            connection.exec_driver_sql(self._text, list(rows))
        else:
            connection.exec_driver_sql(self._text, [dict(zip(names, row, strict=True)) for row in rows])


def inserts(dialect: sa.Dialect, table: sa.Table, columns: Sequence[str]) -> ForRows:
    """Rows become rows of the table."""
    return ForRows(dialect, table.insert(), columns)


def additions(dialect: sa.Dialect, table: sa.Table) -> ForRows:
    """Rows (of all columns) are added to those of the same primary key, number by number; new ones are inserted."""
    insert = (sqlite if dialect.name == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    sums = {name: table.c[name] + insert.excluded[name] for name in table.c.keys() if name not in keys}  # noqa: SIM118
    return ForRows(dialect, insert.on_conflict_do_update(index_elements=keys, set_=sums), table.c.keys())
