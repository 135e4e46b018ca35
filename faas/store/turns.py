"""One at a time among all processes that share a database. Who dies has let go: no turn has to lapse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from faas.core.processes import locks

_RETENTION = 0x66616174
"""By which PostgreSQL knows this lock among those of the whole server's database."""


@contextlib.contextmanager
def retention(engine: sa.Engine, root: Path) -> Iterator[bool]:
    """Whether it is this process's turn to remove what is past its time; the turn lasts as long as the block."""
    turn = _of_file(root / "retention.lock") if engine.dialect.name == "sqlite" else _of_session(engine)
    with turn as is_ours:
        yield is_ours


def indexing(root: Path) -> contextlib.AbstractContextManager[bool]:
    """Whether it is this process's turn to index log lines, which are in files of this machine."""
    return _of_file(root / "search.lock")


@contextlib.contextmanager
def _of_file(path: Path) -> Iterator[bool]:
    with path.open("w") as file:
        yield locks.taken(file.fileno())


@contextlib.contextmanager
def _of_session(engine: sa.Engine) -> Iterator[bool]:
    # Without autocommit the session would stay in a transaction, which keeps PostgreSQL from clearing up rows.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_ours = bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_RETENTION))))
        try:
            yield is_ours
        finally:
            if is_ours:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_RETENTION)))
