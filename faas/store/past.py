"""The revisions that serve no longer: which there are, what may still need them, and removing one for good."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from faas.store import kept, schema

_R = schema.revisions
_F = schema.functions
_D = schema.dead_letters
_U = schema.undelivered


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A revision without its configuration. ``current`` is the number that serves its function, None for none."""

    function: str
    number: int
    artifact: str
    created_at_ms: int
    current: int | None

    @property
    def ref(self) -> str:
        """``name@3``."""
        return f"{self.function}@{self.number}"


class Past:
    """Reads all revisions at once, and removes those that somebody found to be of no more use."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> list[Row]:
        """Every revision that was not discarded, by function, the oldest first."""
        columns = (_R.c.function, _R.c.number, _R.c.artifact, _R.c.created_at_ms, _F.c.current)
        query = sa.select(*columns).select_from(_R.outerjoin(_F, _F.c.name == _R.c.function)).where(_R.c.artifact != "")
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_R.c.function, _R.c.number)).all()
        return [
            Row(function=row[0], number=row[1], artifact=row[2], created_at_ms=row[3], current=row[4]) for row in rows
        ]

    def is_needed(self, row: Row) -> bool:
        """Whether a dead letter of it could be sent again, or a record of it that could not be delivered."""
        letters = sa.select(_D.c.invocation_id).where(_D.c.function == row.function, _D.c.revision == row.number)
        records = sa.select(_U.c.invocation_id).where(_U.c.function == row.function, _U.c.revision == row.number)
        with self._engine.connect() as connection:
            found = [connection.execute(query.limit(1)).first() for query in (letters, records)]
        return any(each is not None for each in found)

    def drop(self, row: Row) -> bool:
        """Remove it, unless it serves by now. The highest number of a function stays, as a row without an artifact."""
        this = (_R.c.function == row.function, _R.c.number == row.number, _R.c.artifact == row.artifact)
        with self._engine.begin() as connection:
            # The lock that deploys take, too: nothing becomes current while this is decided.
            connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))
            if connection.scalar(sa.select(_F.c.current).where(_F.c.name == row.function)) == row.number:
                return False
            last = connection.scalar(sa.select(sa.func.max(_R.c.number)).where(_R.c.function == row.function))
            # Numbers are never given twice: nodes know revisions by them.
            change = _R.update().values(artifact="", config=b"") if last == row.number else _R.delete()
            gone = connection.execute(change.where(*this)).rowcount > 0
            if gone:
                kept.add_freed(connection, kept.REVISIONS, 1, 0)
        return gone

    def artifacts(self) -> set[str]:
        """The digests that some revision refers to."""
        with self._engine.connect() as connection:
            return set(connection.scalars(sa.select(_R.c.artifact).where(_R.c.artifact != "").distinct()))

    def catalog_version(self) -> int:
        """How many times the catalog has changed."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.select(schema.catalog.c.version)) or 0)
