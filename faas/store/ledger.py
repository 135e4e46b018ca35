"""The ledger: every record once, and the running totals that bills and metrics read, in the same transaction."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import beginnings, bills, histograms, schema, writing

_R = schema.records
_T = schema.totals
_KEYS = ("day", "function", "trigger", "status", "cold_start")
_SUMS = ("count", "billed_ms", "cost_pico", "duration_us", "queue_ms", "init_ms")
_PLACE = (_R.c.ended_at_ms, _R.c.invocation_id, _R.c.attempt)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(model.Record).decode

Order = Literal["ended", "duration", "queue", "init"]
_FIRST = {"duration": _R.c.duration_us, "queue": _R.c.queue_ms, "init": _R.c.init_ms}
_NONE: Mapping[writing.Key, bytes] = {}
_BY_AND_BY = {"yield_per": 100}

MOST_BYTES = 8 * 1024 * 1024
"""Of the records of a page: what a function says of an error may have 64 KiB in each of them."""


class PagePlace(NamedTuple):
    """A record's place among all, by the moment it ended: what a page of records goes on from."""

    ended_at_ms: int
    invocation_id: str
    attempt: int


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts of one function, trigger, status and kind of cold start add up to."""

    function: str
    trigger: str
    status: str
    cold_start: str
    count: int
    billed_ms: int
    cost_pico: int
    duration_us: int
    queue_ms: int
    init_ms: int


class Ledger:
    """Writes records exactly once, and answers what they add up to."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @functools.cached_property
    def _writer(self) -> writing.BatchWriter:
        # Its statements take some 20 ms to compile, and most ledgers are only read.
        return writing.BatchWriter(self._engine)

    def commit(
        self,
        records: Sequence[model.Record],
        packed: Sequence[bytes] = (),
        letters: Mapping[writing.Key, bytes] = _NONE,
        printed: Sequence[model.Printed] = (),
    ) -> None:
        """Store a batch whole or not at all; records that are there already change nothing.

        ``packed`` is the msgpack of each, where the caller has it, and ``letters`` the invocations (msgpack) of the
        dead ones. ``printed`` becomes lines of the attempts that it followed.
        """
        bodies = packed or [_encode(record) for record in records]
        self._writer.write(list(zip(records, bodies, strict=True)), letters, printed)

    def get(self, invocation_id: str) -> list[model.Record]:
        """The attempts of one invocation, in order."""
        return self._read(sa.select(_R.c.body).where(_R.c.invocation_id == invocation_id).order_by(_R.c.attempt))

    def find(
        self,
        function: str | None = None,
        since_ms: int | None = None,
        status: Collection[model.Status] = (),
        limit: int = 100,
        before: PagePlace | None = None,
        root_id: str | None = None,
        order: Order = "ended",
    ) -> list[model.Record]:
        """All records of a `page`, however large they are."""
        return self._read(self._query(function, since_ms, status, limit, before, root_id, order))

    def page(
        self,
        function: str | None = None,
        since_ms: int | None = None,
        status: Collection[model.Status] = (),
        limit: int = 100,
        before: PagePlace | None = None,
        root_id: str | None = None,
        order: Order = "ended",
    ) -> tuple[list[model.Record], bool]:
        """The latest records that fit (and are older than ``before``), newest first; or in another ``order``.

        ``status`` are those to find; all, when it is empty. There are ``limit`` of them at most, and fewer when these
        are more than `MOST_BYTES`; also says whether there may be more.
        """
        found: list[model.Record] = []
        left = MOST_BYTES
        query = self._query(function, since_ms, status, limit, before, root_id, order)
        with self._engine.connect() as connection, connection.execute(query, execution_options=_BY_AND_BY) as result:
            for (body,) in result:
                found.append(_decode(body))
                left -= len(body)
                if left <= 0:
                    return found, True
        return found, len(found) == limit

    def _query(
        self,
        function: str | None,
        since_ms: int | None,
        status: Collection[model.Status],
        limit: int,
        before: PagePlace | None,
        root_id: str | None,
        order: Order,
    ) -> sa.Select[bytes]:
        columns = (*([_FIRST[order]] if order in _FIRST else ()), *_PLACE)
        query = sa.select(_R.c.body).order_by(*(column.desc() for column in columns)).limit(limit)
        if before is not None:
            # As one tuple: the order of the rows decides, and a page costs the same however far down it is.
            query = query.where(sa.tuple_(*_PLACE) < before)
        if function is not None:
            query = query.where(_R.c.function == function)
        if since_ms is not None:
            query = query.where(_R.c.ended_at_ms >= since_ms)
        if status:
            query = query.where(_R.c.status.in_([each.value for each in status]))
        if root_id is not None:
            # The first invocation of a chain names no root: it is the root.
            query = query.where(sa.or_(_R.c.root_id == root_id, _R.c.invocation_id == root_id))
        return query

    def ids(self, text: str, most: int) -> list[str]:
        """Up to ``most`` invocations' ids that begin so."""
        return beginnings.ids(self._engine, _R.c.invocation_id, text, most)

    def bill(
        self, since_ms: int, by: bills.By, until_ms: int | None = None, tag: str | None = None
    ) -> list[bills.BillLine]:
        """What was billed, in whole UTC days; read from sums, without a scan. See `bills.lines`."""
        with self._engine.connect() as connection:
            return bills.lines(connection, by, since_ms, until_ms, tag)

    def bill_of_chains(
        self, since_ms: int, until_ms: int | None, limit: int, before: bills.Place | None = None
    ) -> bills.RootPage:
        """What chains of invocations cost, newest first. See `bills.roots`."""
        with self._engine.connect() as connection:
            return bills.roots(connection, since_ms, until_ms, limit, before)

    def totals(self) -> list[Total]:
        """Everything ever recorded, added up for metrics."""
        keys = [_T.c[name] for name in _KEYS[1:]]
        sums = [sa.func.sum(_T.c[name]) for name in _SUMS]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*keys, *sums).group_by(*keys)).all()
        # `int`, as PostgreSQL sums integers to decimals.
        names = (*_KEYS[1:], *_SUMS)
        return [msgspec.convert(dict(zip(names, (*row[:4], *map(int, row[4:])), strict=True)), Total) for row in rows]

    def histograms(self) -> list[histograms.Histogram]:
        """How long all attempts ever recorded took, for metrics."""
        with self._engine.connect() as connection:
            return histograms.read(connection)

    def _read(self, query: sa.Select[bytes]) -> list[model.Record]:
        with self._engine.connect() as connection:
            return [_decode(body) for body in connection.scalars(query)]
