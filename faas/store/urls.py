"""The setting `database_url`: where the ledger is, in the forms that others write such a URL in. No I/O."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from faas.core import errors, groups

_HINT = "postgresql+psycopg://USER:PASSWORD@HOST/NAME, or sqlite:////PATH; see docs/how-to/redis-and-postgresql.md"
_POSTGRESQL = "postgresql+psycopg"
_NAMES = {"postgres": _POSTGRESQL, "postgresql": _POSTGRESQL, _POSTGRESQL: _POSTGRESQL, "sqlite": "sqlite"}
"""What stands before ``://``, as hosts of databases write it too, and which driver is meant."""


def of(data: groups.Data) -> sa.URL:
    """The database of a platform. Raises as `read`."""
    if data.database_url:
        return read(data.database_url)
    return sa.URL.create("sqlite", database=str(data.root / "ledger.db"))


def read(text: str) -> sa.URL:
    """The database that a setting names. Raises `errors.BadRequest` without the password for what names none."""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:  # their words may hold a part of the password
        raise _refused("it is no URL") from error
    if url.drivername not in _NAMES:
        raise _refused(f"it is for {url.drivername[:40]!r}, and there are postgresql+psycopg and sqlite")
    if "@" in (url.host or ""):
        raise _refused("there are two @ in it: in a password it is written %40")
    url = url.set(drivername=_NAMES[url.drivername])
    # A platform that is detached has another working directory than who started it.
    if url.drivername == "sqlite" and not Path(url.database or "").is_absolute():
        raise _refused("the path of the file does not begin with a slash, four with those of the URL")
    return url


def _refused(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"database_url cannot be used: {why}", hint=_HINT)
