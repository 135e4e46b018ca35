"""Dead letters: the invocations that failed for good, with their events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "dead_letters",
        sa.Column("invocation_id", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("died_at_ms", sa.BigInteger, nullable=False),
        sa.Column("invocation", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("retried_as", sa.Text),
    )
    op.create_index("dead_letters_by_function", "dead_letters", ["function", "died_at_ms"])
