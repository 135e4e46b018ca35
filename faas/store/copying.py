"""A copy of a SQLite ledger as it is at one moment, at which nobody writes; they go on while it is copied.

Whoever wants something else of the same moment (the queue) begins that between `LedgerCut` and `let_write`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from faas.core import errors
from faas.store import schema

_PAGES_AT_ONCE = 2_000
_R = schema.revisions


class LedgerCut:
    """Holds the moment. ``with LedgerCut(engine) as cut`` waits until nobody writes, and then nobody can.

    Raises `errors.Unavailable` when the database stays locked.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def __enter__(self) -> LedgerCut:
        self._writing, self._reading = self._engine.connect(), self._engine.connect()
        try:
            self._writing.exec_driver_sql("BEGIN IMMEDIATE")
            # In WAL mode a transaction sees the database as it was at its first question.
            self._reading.exec_driver_sql("BEGIN")
            self._reading.execute(sa.select(schema.catalog.c.version)).all()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def let_write(self) -> None:
        """Let others write again. What is read here stays as it was."""
        self._writing.rollback()

    def artifacts(self) -> set[str]:
        """The digests that some revision refers to."""
        return set(self._reading.scalars(sa.select(_R.c.artifact).where(_R.c.artifact != "").distinct()))

    def copy(self, path: Path) -> None:
        """Write it into a new file. Raises `errors.Unavailable`."""
        source = self._reading.connection.driver_connection
        if not isinstance(source, sqlite3.Connection):
            raise TypeError(f"no SQLite: {source!r}")
        target = sqlite3.connect(path)
        try:
            source.backup(target, pages=_PAGES_AT_ONCE, sleep=0)
        except sqlite3.Error as error:
            why = f"the ledger could not be copied: {error}"
            raise errors.Unavailable(why, hint="is the disk that the backup goes to full?") from error
        finally:
            target.close()

    def _close(self) -> None:
        for connection in (self._reading, self._writing):
            connection.close()
