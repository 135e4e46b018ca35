"""Opening the database: settings -> an engine whose tables are up to date.

SQLite runs in WAL mode with ``synchronous=FULL``: the recorder acknowledges records after their commit, so a commit has
to survive a power cut. It is paid once a batch, not once a record.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command, config

from faas.core import settings as settings_module

_BUSY_TIMEOUT_MS = 15_000
_MIGRATION_LOCK = 0x66616173


def open_database(settings: settings_module.Settings) -> sa.Engine:
    """The engine, its tables made or migrated. Many processes may open at once: one migrates, the others wait."""
    url = settings.database_url or f"sqlite:///{settings.root / 'ledger.db'}"
    settings.root.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    with _file_lock(settings.root / "ledger.lock"):
        _migrate(engine)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _migrate(engine: sa.Engine) -> None:
    alembic = config.Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")
