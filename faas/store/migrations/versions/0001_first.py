"""The first tables: catalog, functions, revisions, buckets, records, totals, logs."""

from __future__ import annotations

from alembic import op

from faas.store import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table, and the catalog's only row."""
    schema.metadata.create_all(op.get_bind())
    op.execute(schema.catalog.insert().values(id=1, version=0))
