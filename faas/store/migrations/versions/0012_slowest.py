"""What the slowest attempts of a row of figures took, kept apart: functions are put in order by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Rows of before have none: of functions with such rows the whole sketches are read."""
    op.add_column("rollups", sa.Column("slowest", sa.LargeBinary))
