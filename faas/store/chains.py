"""Chains of invocations that follow from one another: what each adds up to, and the records that it is made of.

Only chains of more than one invocation have a row: it is made with the first record that names another invocation as
its root, from all records of the chain so far, and each later record adds to it in the transaction that stores it. The
record of a root may come last, since it may run for longer than what follows from it. Until it has come the chain is
open; few are at a time, so a batch of which nothing belongs to a chain costs one look at an index that is nearly empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import bulk, schema

_C = schema.chains
_R = schema.records
_CHUNK = 500
_MOST_OPEN = 1_000
"""Open chains that are read at once; where more are open, those that a batch may concern are looked up."""

_DEEP = 20_000
"""Rows at the top of an index among which those of a time are looked for."""

Order = Literal["slowest", "costliest", "latest"]
_FIRST = {"slowest": _C.c.duration_ms, "costliest": _C.c.cost_pico, "latest": _C.c.ended_at_ms}
_decode = msgspec.msgpack.Decoder(model.Record).decode


class ChainSums(msgspec.Struct, frozen=True, kw_only=True):
    """What the invocations of one chain add up to, as far as their records are written.

    ``function``, ``trigger`` and ``object`` are those of the first invocation, empty until it has a record.
    ``count`` are invocations that are settled, ``status`` how the first of them ended that did not go well. ``is_open``
    says that the first invocation is not settled yet.
    """

    root_id: str
    function: str = ""
    trigger: str = ""
    object: str | None = None
    began_at_ms: int
    ended_at_ms: int
    duration_ms: int
    count: int = 0
    billed_ms: int = 0
    cost_pico: int = 0
    status: str = model.Status.OK.value
    is_open: bool = True


_NAMES = ChainSums.__struct_fields__


def chain_id(record: model.Record) -> str:
    """The first invocation of a record's chain."""
    return record.root_id or record.invocation_id


def added(known: ChainSums | None, records: Iterable[model.Record]) -> ChainSums | None:
    """A chain and more records of it; None when there are none at all."""
    for record in records:
        known = _added(known, record)
    return known


def _added(known: ChainSums | None, record: model.Record) -> ChainSums:
    if known is None:
        at_ms = record.accepted_at_ms
        known = ChainSums(root_id=chain_id(record), began_at_ms=at_ms, ended_at_ms=at_ms, duration_ms=0)
    began_at_ms = min(known.began_at_ms, record.accepted_at_ms)
    ended_at_ms = max(known.ended_at_ms, record.ended_at_ms)
    went_well = not record.final or record.status is model.Status.OK
    changed = msgspec.structs.replace(
        known,
        began_at_ms=began_at_ms,
        ended_at_ms=ended_at_ms,
        duration_ms=max(ended_at_ms - began_at_ms, 0),
        count=known.count + record.final,
        billed_ms=known.billed_ms + record.billed_ms,
        cost_pico=known.cost_pico + record.cost_pico,
        status=known.status if went_well or known.status != model.Status.OK.value else record.status.value,
    )
    if record.invocation_id != known.root_id:
        return changed
    return msgspec.structs.replace(
        changed,
        function=record.function,
        trigger=record.trigger,
        object=record.object,
        is_open=known.is_open and not record.final,
    )


class ChainWriter:
    """Adds the records of a batch to their chains, within the transaction that has just stored them."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._rows = bulk.replaced(dialect, _C)

    def write(self, connection: sa.Connection, records: Sequence[model.Record]) -> None:
        """``records`` are those of the batch that were not there before. Recorders take turns at this."""
        members: dict[str, list[model.Record]] = {}
        roots: dict[str, list[model.Record]] = {}
        for record in records:
            held = members if record.root_id is not None else roots
            held.setdefault(chain_id(record), []).append(record)
        known = _known(connection, members, roots)
        fresh = [root_id for root_id in members if root_id not in known]
        # A new row counts all that is there of its chain, this batch and what came before it.
        changed = list(_made(connection, fresh)) if fresh else []
        for root_id, row in known.items():
            changed += filter(None, (added(row, (*roots.get(root_id, ()), *members.get(root_id, ()))),))
        self._rows.put(connection, [msgspec.structs.astuple(chain) for chain in changed])


def _known(
    connection: sa.Connection, members: Mapping[str, object], roots: Mapping[str, Sequence[model.Record]]
) -> dict[str, ChainSums]:
    """The rows that a batch adds to: chains of its members, and those that wait for a first invocation that is in it.

    What was tried again has several records, and those before the last may come after it, when a recorder has died.
    """
    wanted = {*members, *(root_id for root_id, of in roots.items() if not all(record.final for record in of))}
    if roots:
        query = sa.select(_C.c.root_id).where(_C.c.is_open).limit(_MOST_OPEN + 1)
        found = connection.scalars(query).all()
        wanted.update(roots if len(found) > _MOST_OPEN else roots.keys() & set(found))
    return {chain.root_id: chain for chain in _rows(connection, sorted(wanted))}


def _rows(connection: sa.Connection, root_ids: Sequence[str]) -> Iterator[ChainSums]:
    for chunk in _chunks(root_ids):
        for row in connection.execute(sa.select(_C).where(_C.c.root_id.in_(chunk))):
            yield _chain(row)


def _made(connection: sa.Connection, root_ids: Sequence[str]) -> Iterator[ChainSums]:
    """New rows, of all records that there are."""
    for chunk in _chunks(root_ids):
        made: dict[str, ChainSums | None] = {}
        for its in (sa.and_(_R.c.invocation_id.in_(chunk), _R.c.root_id.is_(None)), _R.c.root_id.in_(chunk)):
            for record in map(_decode, connection.scalars(sa.select(_R.c.body).where(its))):
                made[chain_id(record)] = added(made.get(chain_id(record)), (record,))
        yield from filter(None, made.values())


def _chunks(root_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(root_ids), _CHUNK):
        yield root_ids[start : start + _CHUNK]


def _chain(row: sa.Row[tuple[object, ...]]) -> ChainSums:
    return msgspec.convert(dict(zip(_NAMES, row, strict=True)), ChainSums, strict=False)


class Chains:
    """Reads chains."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def find(self, order: Order = "latest", since_ms: int | None = None, limit: int = 20) -> list[ChainSums]:
        """Chains of more than one invocation that ended since then: those that lasted longest, cost most, or ended
        last come first."""
        top = sa.select(_C).order_by(_FIRST[order].desc()).limit(limit)
        if since_ms is None or order == "latest":
            return self._read(top if since_ms is None else top.where(_C.c.ended_at_ms >= since_ms))
        # Most often the first of all are of that time, too: then their index is walked for a bit, and nothing sorted.
        deep = sa.select(_C).order_by(_FIRST[order].desc()).limit(_DEEP).subquery()
        found = self._read(
            sa.select(deep)
            .where(deep.c.ended_at_ms >= since_ms)
            .order_by(deep.c[_FIRST[order].name].desc())
            .limit(limit)
        )
        if len(found) == limit:
            return found
        # The sum keeps the database from walking the index of the order, all of which may be older.
        return self._read(
            sa.select(_C).where(_C.c.ended_at_ms >= since_ms).order_by((_FIRST[order] + 0).desc()).limit(limit)
        )

    def records(self, root_id: str, most: int) -> list[model.Record]:
        """Up to ``most`` records of a chain, of its first invocation and of what follows from it, in no order."""
        found: list[model.Record] = []
        with self._engine.connect() as connection:
            for its in (sa.and_(_R.c.invocation_id == root_id, _R.c.root_id.is_(None)), _R.c.root_id == root_id):
                query = sa.select(_R.c.body).where(its).limit(most - len(found))
                found += [_decode(body) for body in connection.scalars(query)]
        return found

    def _read(self, query: sa.Select[tuple[object, ...]]) -> list[ChainSums]:
        with self._engine.connect() as connection:
            return [_chain(row) for row in connection.execute(query)]
