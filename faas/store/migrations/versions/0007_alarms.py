"""Alarms: what is declared, how each stands, who is silenced, what came to pass, and who is still to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the one row that whoever looks at the alarms takes hold of."""
    _declared()
    _history()
    op.create_table(
        "alarm_messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("destination", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    rounds = op.create_table(
        "alarm_rounds",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("slot", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("file_origin", sa.Text, nullable=False),
        sa.Column("file_digest", sa.Text, nullable=False),
        sa.Column("file_fault", sa.Text, nullable=False),
    )
    nothing = {"file_origin": "", "file_digest": "", "file_fault": ""}
    op.bulk_insert(rounds, [{"id": 1, "serial": 0, "slot": 0, "at_ms": 0, **nothing}])


def _declared() -> None:
    op.create_table(
        "alarms",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.Integer),
        sa.Column("declared_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("alarms_by_function", "alarms", ["function"])
    op.create_table(
        "alarm_states",
        sa.Column("alarm", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("clear_since_ms", sa.BigInteger, nullable=False),
        sa.Column("told_at_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("alarm_states_by_state", "alarm_states", ["state", "function"])
    op.create_table(
        "alarm_silences",
        sa.Column("alarm", sa.Text, primary_key=True),
        sa.Column("function", sa.Text, primary_key=True),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )


def _history() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "alarm_history",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("alarm", sa.Text, nullable=False),
        sa.Column("function", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("was", sa.Text, nullable=False),
        sa.Column("became", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("alarm_history_by_alarm", "alarm_history", ["alarm", "id"])
    op.create_index("alarm_history_by_time", "alarm_history", ["at_ms"])
