"""How many records and log lines each function has, and their bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and count what is there already: seconds for each GB."""
    op.create_table(
        "kept_by_function",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    octets = "length(CAST(text AS BLOB))" if op.get_bind().dialect.name == "sqlite" else "octet_length(text)"
    _count("records", "length(body)")
    _count("logs", octets)


def _count(table: str, size: str) -> None:
    op.execute(
        "INSERT INTO kept_by_function (kind, function, count, bytes)"  # noqa: S608 - names of our own
        f" SELECT '{table}', function, count(*), coalesce(sum({size}), 0) FROM {table} GROUP BY function"
    )
