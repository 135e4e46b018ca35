"""The levels of log lines, and an index of the lines that tell of errors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KNOWN = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def upgrade() -> None:
    """Make the column, and fill it for lines of `logging` that are there already: seconds for each GB."""
    op.add_column("logs", sa.Column("level", sa.SmallInteger))
    logs = sa.table("logs", sa.column("text", sa.Text), sa.column("level", sa.SmallInteger))
    # Lines that are JSON, and rows of several lines, keep none: to read them here would take minutes.
    for name, number in _KNOWN.items():
        begins = logs.c.text.startswith(f"[{name}]", autoescape=True)
        op.execute(logs.update().where(begins).values(level=number))
    is_error = sa.text("level >= 40")
    op.create_index("logs_of_errors", "logs", ["id"], sqlite_where=is_error, postgresql_where=is_error)
