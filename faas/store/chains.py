"""Chains of invocations that follow from one another: what each adds up to, and the records that it is made of.

Only chains of more than one invocation have a row: it is made with the first record that names another invocation as
its root, from all records of the chain so far, and each later record adds to it in the transaction that stores it. The
record of a root may come last, since it may run for longer than what follows from it. Until it has come the chain is
open; few are at a time, so a batch of which nothing belongs to a chain costs one look at an index that is nearly empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import bulk, ledger, schema

_C = schema.chains
_R = schema.records
_CHUNK = 500
_MOST_OPEN = 1_000
"""Open chains that are read at once; where more are open, those that a batch may concern are looked up."""

_DEEP = 20_000
"""Rows at the top of an index among which those of a time are looked for."""

Order = Literal["slowest", "costliest", "latest"]
_FIRST = {"slowest": _C.c.duration_ms, "costliest": _C.c.cost_pico, "latest": _C.c.ended_at_ms}
_OK = model.Status.OK.value
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


def added(known: ChainSums | None, records: Sequence[model.Record]) -> ChainSums:
    """A chain and more records of it, of which there is one at least."""
    root_id, at_ms = chain_id(records[0]), records[0].accepted_at_ms
    was = known or ChainSums(root_id=root_id, began_at_ms=at_ms, ended_at_ms=at_ms, duration_ms=0)
    first, began_at_ms, ended_at_ms, status, is_open = None, was.began_at_ms, was.ended_at_ms, was.status, was.is_open
    count, billed_ms, cost_pico = was.count, was.billed_ms, was.cost_pico
    # One loop of plain names: recorders do this for each chain of each batch.
    for record in records:
        billed_ms += record.billed_ms
        cost_pico += record.cost_pico
        if record.accepted_at_ms < began_at_ms:
            began_at_ms = record.accepted_at_ms
        if record.ended_at_ms > ended_at_ms:
            ended_at_ms = record.ended_at_ms
        if record.invocation_id == root_id:
            first = record
            is_open = is_open and not record.final
        # Attempts that another follows cost, but are no invocation of their own.
        if record.final:
            count += 1
            if status == _OK:
                status = record.status.value
    of = was if first is None else first
    return ChainSums(
        root_id=root_id,
        function=of.function,
        trigger=of.trigger,
        object=of.object,
        began_at_ms=began_at_ms,
        ended_at_ms=ended_at_ms,
        duration_ms=ended_at_ms - began_at_ms,
        count=count,
        billed_ms=billed_ms,
        cost_pico=cost_pico,
        status=status,
        is_open=is_open,
    )


class ChainWriter:
    """Adds the records of a batch to their chains, within the transaction that has just stored them."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._fresh = bulk.inserted(dialect, _C)
        self._changed = bulk.replaced(dialect, _C)

    def write(self, connection: sa.Connection, records: Sequence[model.Record]) -> None:
        """``records`` are those of the batch that were not there before. Recorders take turns at this."""
        open_roots = _open(connection)
        members: dict[str, list[model.Record]] = {}
        for record in [record for record in records if record.root_id is not None]:
            members.setdefault(chain_id(record), []).append(record)
        firsts = _firsts(records, members, open_roots)
        if not members and not firsts:
            return
        begun = {root_id for root_id, of in firsts.items() if _begins(of)}
        # What begins in this batch has a row only if what follows from it came before it: then it is open.
        asked = (members.keys() | firsts.keys()) - begun | begun & (firsts.keys() if open_roots is None else open_roots)
        known = {chain.root_id: chain for chain in _rows(connection, sorted(asked))}
        # A new row counts all that is there of its chain, this batch and what came before it.
        fresh = list(
            _made(connection, [root_id for root_id in members if root_id not in known and root_id not in begun])
        )
        fresh += [added(None, firsts[id] + members[id]) for id in members.keys() & begun - known.keys()]
        self._fresh.put(connection, list(map(msgspec.structs.astuple, fresh)))
        changed = [added(row, firsts.get(id, []) + members.get(id, [])) for id, row in known.items()]
        self._changed.put(connection, list(map(msgspec.structs.astuple, changed)))


def _open(connection: sa.Connection) -> set[str] | None:
    """The chains whose first invocation is not settled, by its records; None when there are too many to be read."""
    found = connection.scalars(sa.select(_C.c.root_id).where(_C.c.is_open).limit(_MOST_OPEN + 1)).all()
    return None if len(found) > _MOST_OPEN else set(found)


def _firsts(
    records: Sequence[model.Record], members: Mapping[str, object], open_roots: set[str] | None
) -> dict[str, list[model.Record]]:
    """The records of first invocations that may belong to a chain which has a row, or gets one now.

    What is tried again has several, and those before the last may come after it, when a recorder has died.
    """
    found: dict[str, list[model.Record]] = {}
    if not members and not open_roots and open_roots is not None:
        some = [record for record in records if not record.final]
    elif open_roots is None:
        some = list(records)
    else:
        some = [
            record
            for record in records
            if record.invocation_id in members or record.invocation_id in open_roots or not record.final
        ]
    for record in some:
        if record.root_id is None:
            found.setdefault(record.invocation_id, []).append(record)
    return found


def _begins(records: Sequence[model.Record]) -> bool:
    """Whether these are all the records that a first invocation ever has."""
    return len(records) == 1 and records[0].attempt == 1 and records[0].final


def _rows(connection: sa.Connection, root_ids: Sequence[str]) -> Iterator[ChainSums]:
    for chunk in _chunks(root_ids):
        for row in connection.execute(sa.select(_C).where(_C.c.root_id.in_(chunk))):
            yield _chain(row)


def _made(connection: sa.Connection, root_ids: Sequence[str]) -> Iterator[ChainSums]:
    """New rows, of all records that there are."""
    for chunk in _chunks(root_ids):
        found: dict[str, list[model.Record]] = {}
        for its in (sa.and_(_R.c.invocation_id.in_(chunk), _R.c.root_id.is_(None)), _R.c.root_id.in_(chunk)):
            for record in map(_decode, connection.scalars(sa.select(_R.c.body).where(its))):
                found.setdefault(chain_id(record), []).append(record)
        yield from (added(None, records) for records in found.values())


def _chunks(root_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(root_ids), _CHUNK):
        yield root_ids[start : start + _CHUNK]


def _chain(row: sa.Row[tuple[Any, ...]]) -> ChainSums:
    named: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    return ChainSums(**named)


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

    def records(self, root_id: str, most: int) -> tuple[list[model.Record], bool]:
        """Up to ``most`` records of a chain, of its first invocation and of what follows from it, in no order.

        There are fewer when these are more than `ledger.MOST_BYTES`; also says whether there may be more.
        """
        found: list[model.Record] = []
        left = ledger.MOST_BYTES
        with self._engine.connect() as connection:
            for its in (sa.and_(_R.c.invocation_id == root_id, _R.c.root_id.is_(None)), _R.c.root_id == root_id):
                query = sa.select(_R.c.body).where(its).limit(most - len(found))
                with connection.execute(query, execution_options={"yield_per": 100}) as result:
                    for (body,) in result:
                        found.append(_decode(body))
                        left -= len(body)
                        if left <= 0:
                            return found, True
        return found, len(found) >= most

    def _read(self, query: sa.Select[tuple[Any, ...]]) -> list[ChainSums]:
        with self._engine.connect() as connection:
            return [_chain(row) for row in connection.execute(query)]
