"""Whether the database can be read, and what functions it says that there are. Nothing here writes or migrates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from faas.core import errors, groups, model
from faas.health import facts
from faas.store import functions, urls

_CONNECTS_WITHIN_S = 5


def readable(data: groups.Data) -> Iterator[facts.Fact]:
    """The fact ``ledger``, by one small question."""
    yield _fact(data, "SELECT 1", "readable")


def whole(data: groups.Data) -> Iterator[facts.Fact]:
    """The fact ``ledger``; a database of our own is read whole."""
    yield _fact(data, "SELECT 1" if data.database_url else "PRAGMA quick_check(1)", "readable and whole")


def memory_asked_mb(data: groups.Data) -> dict[str, int]:
    """What memory the functions ask for, by name. Raises `errors.Unavailable`."""
    if not _is_there(data):
        return {}
    try:
        with _opened(data) as engine:
            current = functions.Functions(engine).list_current()
    except sa.exc.SQLAlchemyError as error:
        raise errors.Unavailable(f"the catalog cannot be read: {error}".splitlines()[0]) from error
    return {revision.function: revision.config.memory_mb for revision in current}


def buckets(data: groups.Data) -> list[model.Bucket]:
    """The buckets that are declared. Raises `errors.Unavailable`."""
    if not _is_there(data):
        return []
    try:
        with _opened(data) as engine:
            return list(functions.Functions(engine).buckets())
    except sa.exc.SQLAlchemyError as error:
        raise errors.Unavailable(f"the catalog cannot be read: {error}".splitlines()[0]) from error


def _fact(data: groups.Data, question: str, text: str) -> facts.Fact:
    if not _is_there(data):
        hint = "it is made when the platform first starts"
        return facts.Fact("ledger", facts.Severity.WARNING, f"{data.root / 'ledger.db'} does not exist yet", hint)
    try:
        with _opened(data) as engine, engine.connect() as connection:
            verdict = str(connection.execute(sa.text(question)).scalar())
    except errors.BadRequest as error:
        return facts.Fact("ledger", facts.Severity.FAILED, error.message, error.hint)
    except sa.exc.SQLAlchemyError as error:
        return facts.Fact("ledger", facts.Severity.FAILED, f"cannot be read: {error}".splitlines()[0])
    if verdict not in ("1", "ok"):
        return facts.Fact("ledger", facts.Severity.FAILED, verdict)
    return facts.Fact("ledger", facts.Severity.OK, text)


@contextlib.contextmanager
def opened(data: groups.Data) -> Iterator[sa.Engine | None]:
    """The database, to be read; None where it does not exist yet."""
    if not _is_there(data):
        yield None
        return
    with _opened(data) as engine:
        yield engine


def _is_there(data: groups.Data) -> bool:
    return bool(data.database_url) or (data.root / "ledger.db").exists()


@contextlib.contextmanager
def _opened(data: groups.Data) -> Iterator[sa.Engine]:
    # Read-only, so that a look never makes the file.
    own = f"sqlite:///file:{data.root / 'ledger.db'}?mode=ro&uri=true"
    url = urls.read(data.database_url) if data.database_url else sa.make_url(own)
    limit = {} if url.get_backend_name() == "sqlite" else {"connect_timeout": _CONNECTS_WITHIN_S}
    engine = sa.create_engine(url, connect_args=limit)
    try:
        yield engine
    finally:
        engine.dispose()
