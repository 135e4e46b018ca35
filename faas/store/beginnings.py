"""Finding ids by their beginnings."""

from __future__ import annotations

import sqlalchemy as sa


def begins(connection: sa.Connection, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a column's ids begin so. SQLite looks them up in the column's index, which LIKE does not use there."""
    if connection.dialect.name == "sqlite":
        return sa.and_(column >= text, column < text + "g")
    return column.startswith(text, autoescape=True)


def ids(engine: sa.Engine, column: sa.Column[str], text: str, most: int) -> list[str]:
    """Up to ``most`` ids of a column that begin so, in order."""
    with engine.connect() as connection:
        query = sa.select(column).where(begins(connection, column, text)).distinct().order_by(column).limit(most)
        return list(connection.scalars(query))
