"""What could not be delivered to its destination, kept until it is sent again or dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import beginnings, schema

_U = schema.undelivered
_WHY = (_U.c.destination, _U.c.attempts, _U.c.reason, _U.c.given_up_at_ms)
_CHUNK = 500
_ONE_BY_ONE = {"yield_per": 1}
_invocation = msgspec.msgpack.Decoder(model.Invocation).decode
_encode = msgspec.msgpack.Encoder().encode


class Undelivered(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: the invocation, how it was settled (msgpack of `faas.queue.destined.Settled`), and why it is here.

    ``destination`` is in words; ``attempts`` counts how often it was sent.
    """

    invocation: model.Invocation
    settled: bytes
    destination: str
    attempts: int
    reason: str
    given_up_at_ms: int


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was to go, and why it is here: what is told of one without reading it."""

    destination: str
    attempts: int
    reason: str
    given_up_at_ms: int


class UndeliveredLine(GivenUp, frozen=True, kw_only=True):
    """One without its event and its result, which may have megabytes each."""

    invocation_id: str
    record: model.Record
    condition: model.Condition


class _Beginning(msgspec.Struct, frozen=True, array_like=True):
    """What of ``settled`` stands before the result."""

    record: model.Record
    condition: model.Condition


_beginning = msgspec.msgpack.Decoder(_Beginning).decode


class UndeliveredRecords:
    """Keeps, reads and drops them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, given_up: Undelivered) -> None:
        """Keep an undelivered record, in place of what was kept of the same invocation before."""
        row = {
            "invocation_id": given_up.invocation.id,
            "function": given_up.invocation.function,
            "given_up_at_ms": given_up.given_up_at_ms,
            "destination": given_up.destination,
            "attempts": given_up.attempts,
            "reason": given_up.reason,
            "settled": given_up.settled,
            "invocation": _encode(given_up.invocation),
            "revision": given_up.invocation.revision,
        }
        with self._engine.begin() as connection:
            # The same may be given up twice, when a scheduler dies between this and the outbox.
            connection.execute(_U.delete().where(_U.c.invocation_id == given_up.invocation.id))
            connection.execute(_U.insert().values(row))

    def find(self, function: str | None, limit: int) -> list[UndeliveredLine]:
        """The latest, newest first, without their events and results."""
        query = sa.select(_U.c.invocation_id, *_WHY, _U.c.settled)
        query = query.order_by(_U.c.given_up_at_ms.desc(), _U.c.invocation_id.desc()).limit(limit)
        if function is not None:
            query = query.where(_U.c.function == function)
        # One by one: each holds a result, which is left where it is.
        with self._engine.connect() as connection, connection.execute(query, execution_options=_ONE_BY_ONE) as result:
            return [_line(row) for row in result]

    def ids(self, text: str, most: int) -> list[str]:
        """Up to ``most`` invocations' ids that begin so."""
        return beginnings.ids(self._engine, _U.c.invocation_id, text, most)

    def get(self, invocation_id: str) -> Undelivered | None:
        """The undelivered record of an invocation."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_U).where(_U.c.invocation_id == invocation_id)).first()
        return None if row is None else _read(row)

    def of(self, invocation_ids: Sequence[str]) -> dict[str, GivenUp]:
        """What is told of those of some invocations, by their ids."""
        found: dict[str, GivenUp] = {}
        with self._engine.connect() as connection:
            # A statement takes a bounded number of values.
            for start in range(0, len(invocation_ids), _CHUNK):
                chunk = invocation_ids[start : start + _CHUNK]
                query = sa.select(_U.c.invocation_id, *_WHY).where(_U.c.invocation_id.in_(chunk))
                found.update((row.invocation_id, GivenUp(**_why(row))) for row in connection.execute(query))
        return found

    def drop(self, invocation_id: str, given_up_at_ms: int) -> bool:
        """Forget a record; False when it is not there. One that was given up again meanwhile stays."""
        this = (_U.c.invocation_id == invocation_id, _U.c.given_up_at_ms == given_up_at_ms)
        with self._engine.begin() as connection:
            return connection.execute(_U.delete().where(*this)).rowcount > 0

    def counts(self) -> Mapping[str, int]:
        """How many there are, by function."""
        with self._engine.connect() as connection:
            query = sa.select(_U.c.function, sa.func.count()).group_by(_U.c.function)
            return {name: int(count) for name, count in connection.execute(query)}


def _line(row: sa.Row[*tuple[Any, ...]]) -> UndeliveredLine:
    begins = _beginning(row.settled)
    return UndeliveredLine(
        invocation_id=row.invocation_id, record=begins.record, condition=begins.condition, **_why(row)
    )


def _why(row: sa.Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in _WHY}


def _read(row: sa.Row[tuple[object, ...]]) -> Undelivered:
    return Undelivered(
        invocation=_invocation(row.invocation),
        settled=row.settled,
        destination=row.destination,
        attempts=row.attempts,
        reason=row.reason,
        given_up_at_ms=row.given_up_at_ms,
    )
