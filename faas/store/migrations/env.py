"""Alembic's entry: runs the migrations on the connection that `faas.store.database` hands over."""

from __future__ import annotations

from alembic import context

from faas.store import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
context.run_migrations()
