"""For how long things are kept, as people set it while the platform runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. Without rows the settings count, as before."""
    op.create_table(
        "keep_rules",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("keep_ms", sa.BigInteger, nullable=False),
        sa.Column("set_at_ms", sa.BigInteger, nullable=False),
    )
