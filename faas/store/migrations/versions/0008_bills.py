"""Sums that bills are made of, by revision and memory too; the tags of revisions; budgets that are reached."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. What was added up before is taken over; of which revision and memory it was, nobody knows."""
    op.create_table(
        "billed",
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("trigger", sa.Text, primary_key=True),
        sa.Column("memory_mb", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("billed_ms", sa.BigInteger, nullable=False),
        sa.Column("cost_pico", sa.BigInteger, nullable=False),
        sa.Column("cpu_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "revision_tags",
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tags", sa.Text, nullable=False),
    )
    op.create_table(
        "budgets",
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, primary_key=True),
        sa.Column("per", sa.Text, nullable=False),
        sa.Column("then", sa.Text, nullable=False),
        sa.Column("amount_pico", sa.BigInteger, nullable=False),
        sa.Column("spent_pico", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("lifted_at_ms", sa.BigInteger),
    )
    op.create_index("budgets_by_end", "budgets", ["until_ms"])
    op.execute(
        'INSERT INTO billed (day, function, revision, "trigger", memory_mb, count, requests, billed_ms, cost_pico,'
        ' cpu_us) SELECT day, function, 0, "trigger", 0, sum(count),'
        " sum(CASE WHEN status IN ('ok', 'error', 'timeout', 'oom') THEN count ELSE 0 END), sum(billed_ms),"
        ' sum(cost_pico), 0 FROM totals GROUP BY day, function, "trigger"'
    )
