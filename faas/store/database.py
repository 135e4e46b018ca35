"""Opening the database: the setting `database_url` -> an engine whose tables are up to date.

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
from alembic import command, config, script
from alembic.runtime import migration
from sqlalchemy.dialects import sqlite

from faas.core import errors, groups
from faas.store import urls

_BUSY_TIMEOUT_MS = 15_000
_MIGRATION_LOCK = 0x66616173
_OUR_FAULT = (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.ProgrammingError, sa.exc.NotSupportedError)


def open_database(data: groups.Data) -> sa.Engine:
    """The engine, its tables made or migrated. Many processes may open at once: one migrates, the others wait.

    Raises `errors.BadRequest` for a URL of no database that this takes. Whatever is done with it raises
    `errors.Unavailable` when the database is locked, full, damaged or away.
    """
    engine = as_it_is(data)
    try:
        # Two that migrate one file at once would both begin by reading, and then one of them could not write.
        with _file_lock(data.root / "ledger.lock"):
            if engine.dialect.name == "sqlite" and engine.url.database:
                _keep_to_owner(Path(engine.url.database))
            _migrate(engine)
    except OSError as error:
        raise errors.Unavailable(f"{data.root} cannot be written: {error.strerror}") from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def as_it_is(data: groups.Data) -> sa.Engine:
    """The engine of a database whose tables are left as they are."""
    url = urls.of(data)
    # A server that was restarted has closed the pool's connections; a file has not.
    engine = sa.create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
    sa.event.listen(engine, "handle_error", _translated, retval=True)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        engine.dialect.statement_compiler = _HintedCompiler
    return engine


class _HintedCompiler(sqlite.base.SQLiteCompiler):
    """Writes the ``INDEXED BY`` that a query was given as a hint, which SQLAlchemy's own leaves out without a word.

    SQLite chooses without statistics, and then takes the beginning of a key for as good as the whole of an index.
    """

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        """The hint as it stands behind the table."""
        return text


def _translated(context: sa.engine.ExceptionContext) -> errors.Unavailable | None:
    """What is raised in place of a driver's error when the trouble is the database's, not ours."""
    error = context.sqlalchemy_exception
    if not isinstance(error, sa.exc.DBAPIError) or isinstance(error, _OUR_FAULT):
        return None
    why = str(context.original_exception).strip().partition("\n")[0]
    return errors.Unavailable(
        f"the database does not answer: {why}", hint="is its disk full, or its server down? see `faas doctor`"
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # In this order: to turn WAL on needs a lock, for which it waits only with the timeout set.
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _keep_to_owner(file: Path) -> None:
    """The catalog holds the environment of functions. SQLite gives its other files the mode of this one."""
    file.touch(mode=0o600)
    file.chmod(0o600)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _migrate(engine: sa.Engine, to: str = "head") -> None:
    """Bring the tables to a revision. Raises `errors.Conflict` when they are of one that is not known here."""
    alembic = config.Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {revision.revision for revision in script.ScriptDirectory.from_config(alembic).walk_revisions()}
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Hosts that share a server share no file to lock.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        alembic.attributes["connection"] = connection
        held = migration.MigrationContext.configure(connection).get_current_revision()
        # To go on would write rows that a newer platform reads otherwise.
        if held is not None and held not in known:
            raise errors.Conflict(
                f"the database has revision {held}, which this platform does not know", hint="use the newer faas"
            )
        command.upgrade(alembic, to)
