"""Lineage of records, and what could not be delivered to its destination."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column and the table. Records of before have no root: nothing was known of it."""
    op.add_column("records", sa.Column("root_id", sa.Text))
    op.create_index("records_by_root", "records", ["root_id"], sqlite_where=_HAS_ROOT, postgresql_where=_HAS_ROOT)
    op.create_table(
        "undelivered",
        sa.Column("invocation_id", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("given_up_at_ms", sa.BigInteger, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("settled", sa.LargeBinary, nullable=False),
        sa.Column("invocation", sa.LargeBinary, nullable=False),
    )
    op.create_index("undelivered_by_function", "undelivered", ["function", "given_up_at_ms"])


_HAS_ROOT = sa.text("root_id IS NOT NULL")
