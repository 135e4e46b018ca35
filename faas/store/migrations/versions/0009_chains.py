"""The table of chains: what all invocations that follow from one another add up to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and its indexes. A chain is in it from the next record on that it has."""
    op.create_table(
        "chains",
        sa.Column("root_id", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("object", sa.Text),
        sa.Column("began_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("billed_ms", sa.BigInteger, nullable=False),
        sa.Column("cost_pico", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
    )
    op.create_index("chains_by_end", "chains", ["ended_at_ms"])
    op.create_index("chains_by_duration", "chains", ["duration_ms"])
    op.create_index("chains_by_cost", "chains", ["cost_pico"])
    is_open = sa.text("is_open")
    op.create_index("chains_open", "chains", ["root_id"], sqlite_where=is_open, postgresql_where=is_open)
