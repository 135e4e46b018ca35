"""What is kept and what was freed; when lines, letters and undelivered records are due to go, and their revisions."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PAGE = 100


def upgrade() -> None:
    """Make the indexes, the columns and the table, and count what is there already: seconds for each GB."""
    op.create_index("logs_by_time", "logs", ["at_ms"])
    _number("dead_letters", "record", "died_at_ms")
    _number("undelivered", "invocation", "given_up_at_ms")
    op.create_table(
        "kept",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("freed", sa.BigInteger, nullable=False),
        sa.Column("freed_bytes", sa.BigInteger, nullable=False),
        sa.Column("looked_at_ms", sa.BigInteger, nullable=False),
    )
    octets = "length(CAST(text AS BLOB))" if op.get_bind().dialect.name == "sqlite" else "octet_length(text)"
    _count("records", "length(body)")
    _count("logs", octets)


def _count(table: str, size: str) -> None:
    op.execute(
        "INSERT INTO kept (kind, count, bytes, freed, freed_bytes, looked_at_ms)"  # noqa: S608 - names of our own
        f" SELECT '{table}', count(*), coalesce(sum({size}), 0), 0, 0, 0 FROM {table}"
    )


def _number(table: str, packed: str, at: str) -> None:
    """Give a table the column ``revision``, from the msgpack array that stands in the column ``packed``."""
    op.add_column(table, sa.Column("revision", sa.Integer))
    _fill(sa.table(table, sa.column("invocation_id"), sa.column(packed), sa.column("revision")), packed)
    op.create_index(f"{table}_by_revision", table, ["function", "revision"])
    op.create_index(f"{table}_by_time", table, [at])


def _fill(table: sa.TableClause, packed: str) -> None:
    connection, last = op.get_bind(), ""
    query = sa.select(table.c.invocation_id, table.c[packed]).order_by(table.c.invocation_id).limit(_PAGE)
    while page := connection.execute(query.where(table.c.invocation_id > last)).all():
        for invocation_id, held in page:
            number = msgspec.msgpack.decode(held)[_REVISION_AT[packed]]
            this = table.c.invocation_id == invocation_id
            connection.execute(table.update().where(this).values(revision=number))
        last = page[-1][0]


# The place of the revision in the arrays that records and invocations were written as when this was made.
_REVISION_AT = {"record": 3, "invocation": 2}
