"""Roll-ups: figures by minute, hour and day, the parts they are merged from, and how far old records are in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column and the tables. Records of before are added in small steps by whoever records."""
    op.add_column("records", sa.Column("is_rolled_up", sa.Integer))
    op.create_table(
        "rollup_parts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("groups", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        # No number comes again: who merges knows parts by them.
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rollups",
        sa.Column("span_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("cold_starts", sa.BigInteger, nullable=False),
        sa.Column("billed_ms", sa.BigInteger, nullable=False),
        sa.Column("cost_pico", sa.BigInteger, nullable=False),
        sa.Column("sketches", sa.LargeBinary, nullable=False),
        sa.Column("kinds", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rollups_by_function", "rollups", ["function", "span_ms", "at_ms"])
    op.create_table(
        "rollup_state",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.execute("INSERT INTO rollup_state (name, value) SELECT 'fill', '' WHERE EXISTS (SELECT 1 FROM records)")
