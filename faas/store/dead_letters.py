"""The dead letters: invocations that failed for good with nobody waiting, kept with their events until dropped.

The recorder writes each in the transaction that stores its last record (`faas.store.ledger`).
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import beginnings, schema

_D = schema.dead_letters
_invocation = msgspec.msgpack.Decoder(model.Invocation).decode
_record = msgspec.msgpack.Decoder(model.Record).decode


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter: what was to be run, the record of its last attempt, and what it was sent again as."""

    invocation: model.Invocation
    record: model.Record
    retried_as: str | None


class DeadLetterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One without what was to be run, whose event may have megabytes."""

    record: model.Record
    retried_as: str | None


class DeadLetters:
    """Reads, marks and drops them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def find(self, function: str | None, limit: int) -> list[DeadLetterLine]:
        """The latest, newest first, without their events."""
        query = (
            sa.select(_D.c.record, _D.c.retried_as)
            .order_by(_D.c.died_at_ms.desc(), _D.c.invocation_id.desc())
            .limit(limit)
        )
        if function is not None:
            query = query.where(_D.c.function == function)
        with self._engine.connect() as connection:
            return [DeadLetterLine(record=_record(row[0]), retried_as=row[1]) for row in connection.execute(query)]

    def counts_since(self, since_ms: int) -> dict[str, int]:
        """How many came since then, by function. It costs as much as there are of these."""
        query = sa.select(_D.c.function, sa.func.count()).where(_D.c.died_at_ms >= since_ms).group_by(_D.c.function)
        with self._engine.connect() as connection:
            return {function: int(count) for function, count in connection.execute(query)}

    def ids(self, text: str, most: int) -> list[str]:
        """Up to ``most`` invocations' ids that begin so."""
        return beginnings.ids(self._engine, _D.c.invocation_id, text, most)

    def get(self, invocation_id: str) -> DeadLetter | None:
        """The dead letter of one invocation."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_D).where(_D.c.invocation_id == invocation_id)).first()
        return None if row is None else _letter(row)

    def mark_retried(self, invocation_id: str, retried_as: str) -> None:
        """Note what it was sent again as."""
        with self._engine.begin() as connection:
            connection.execute(_D.update().where(_D.c.invocation_id == invocation_id).values(retried_as=retried_as))

    def drop(self, invocation_id: str) -> bool:
        """Forget a dead letter; False when there is none."""
        with self._engine.begin() as connection:
            return connection.execute(_D.delete().where(_D.c.invocation_id == invocation_id)).rowcount > 0


def _letter(row: sa.Row[tuple[object, ...]]) -> DeadLetter:
    return DeadLetter(invocation=_invocation(row.invocation), record=_record(row.record), retried_as=row.retried_as)
