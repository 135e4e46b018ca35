"""What bills are made of: sums by day, function, revision, trigger and memory, which outlive the records they add up.

They are written in the transaction that writes the records. What a chain of invocations cost is added up from its
records themselves, while those are kept.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, cast

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.core.money import comparing, tags
from faas.store import bulk, schema

_B = schema.billed
_R = schema.records
_T = schema.revision_tags
_SUMS = ("count", "requests", "billed_ms", "cost_pico", "cpu_us")
_DAY_MS = 86_400_000
_EPOCH = datetime.date(1970, 1, 1)
_LOOKED_THROUGH = 20_000
"""Rows of records that one page of chains looks through for those that begin one."""

_MOST_RECORDS = 20_000
"""Records of one chain that are added up, and of a page of chains before the page ends."""

_decode = msgspec.msgpack.Decoder(model.Record).decode

By = Literal["function", "day", "trigger", "tag"]


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a bill: attempts, those of them that are billed, milliseconds, the exact cost and processor time.

    ``uses`` say how much memory the billed attempts had.
    """

    name: str
    count: int
    requests: int
    billed_ms: int
    cost_pico: int
    cpu_us: int
    uses: tuple[comparing.MemoryUse, ...] = ()


class RootLine(BillLine, frozen=True, kw_only=True):
    """What one chain of invocations cost: ``name`` is the id of its first, which the other fields are about.

    ``is_cut`` says that the chain has more records than are added up.
    """

    function: str
    trigger: str
    object: str | None
    ended_at_ms: int
    is_cut: bool


Place = tuple[int, str, int]
"""When a record ended, its invocation and its attempt: what a page goes on from."""


class RootPage(NamedTuple):
    """Some chains, newest first; ``next`` is where there may be more."""

    lines: Sequence[RootLine]
    next: Place | None


def day(at_ms: int) -> str:
    """The UTC day that holds a moment."""
    return _name(at_ms // _DAY_MS)


@functools.lru_cache(maxsize=64)  # a recorder asks for a day's thousands of times a second
def _name(number: int) -> str:
    return (_EPOCH + datetime.timedelta(number)).isoformat()


# -- written with the records


def rows(records: Iterable[model.Record]) -> list[bulk.Row]:
    """What a batch adds to the sums."""
    sums: dict[tuple[int, str, int, str, int], list[int]] = {}
    for record in records:
        key = record.ended_at_ms // _DAY_MS, record.function, record.revision, record.trigger, record.memory_limit_mb
        held = sums.get(key)
        if held is None:
            held = sums[key] = [0] * len(_SUMS)
        held[0] += 1
        # Requests that are billed: a handler that did not run costs nothing, and other clouds charge by such a
        # number, too.
        held[1] += record.billed_ms > 0
        held[2] += record.billed_ms
        held[3] += record.cost_pico
        held[4] += record.cpu_us or 0
    return [(day(number * _DAY_MS), *named, *held) for (number, *named), held in sums.items()]


# -- read


def lines(
    connection: sa.Connection, by: By, since_ms: int, until_ms: int | None = None, tag: str | None = None
) -> list[BillLine]:
    """The lines of a bill, by name: of whole UTC days, from the one that holds ``since_ms`` on.

    The last day is the one that holds the millisecond before ``until_ms``. By tag, attempts are counted under the tags
    that their revision was deployed with; under the value of one, when ``tag`` names it, else under all of them.
    """
    named, source = (_B.c[by], _B) if by != "tag" else _by_tags()
    query = sa.select(named, _B.c.memory_mb, *(sa.func.sum(_B.c[each]) for each in _SUMS)).select_from(source)
    query = query.where(*_days(since_ms, until_ms)).group_by(named, _B.c.memory_mb)
    made: dict[str, BillLine] = {}
    for name, memory_mb, *sums in connection.execute(query):
        name = name if tag is None else tags.value(name, tag)
        made[name] = _added(made.get(name), name, memory_mb, [int(each) for each in sums])
    return [made[name] for name in sorted(made)]


def spent_pico(connection: sa.Connection, since_ms: int, until_ms: int, function: str | None = None) -> int:
    """What a function, or all of them together, cost in whole days of the period."""
    query = sa.select(sa.func.sum(_B.c.cost_pico)).where(*_days(since_ms, until_ms))
    return int(connection.scalar(query if function is None else query.where(_B.c.function == function)) or 0)


def spent_by(connection: sa.Connection, since_ms: int, until_ms: int, functions: Collection[str]) -> dict[str, int]:
    """What some functions cost, by name, in whole days up to the last millisecond before ``until_ms``."""
    # Each day by its name: by a range of days the rows of all functions would be read.
    days = [day(at_ms) for at_ms in range(since_ms, until_ms, _DAY_MS)]
    query = sa.select(_B.c.function, sa.func.sum(_B.c.cost_pico)).where(_B.c.day.in_(days))
    rows = connection.execute(query.where(_B.c.function.in_(functions)).group_by(_B.c.function))
    return {name: int(pico) for name, pico in rows}


def _days(since_ms: int, until_ms: int | None) -> Iterator[sa.ColumnElement[bool]]:
    yield _B.c.day >= day(since_ms)
    if until_ms is not None:
        # A statement that ends at midnight ends with the day before.
        yield _B.c.day <= day(max(until_ms - 1, 0))


def _by_tags() -> tuple[sa.ColumnElement[str], sa.FromClause]:
    is_its = sa.and_(_T.c.function == _B.c.function, _T.c.number == _B.c.revision)
    return sa.func.coalesce(_T.c.tags, ""), _B.outerjoin(_T, is_its)


def _added(known: BillLine | None, name: str, memory_mb: int, sums: Sequence[int]) -> BillLine:
    count, requests, billed_ms, cost_pico, cpu_us = sums
    held = known or BillLine(name=name, count=0, requests=0, billed_ms=0, cost_pico=0, cpu_us=0)
    more = (comparing.MemoryUse(memory_mb, requests, billed_ms),) if requests else ()
    return BillLine(
        name=name,
        count=held.count + count,
        requests=held.requests + requests,
        billed_ms=held.billed_ms + billed_ms,
        cost_pico=held.cost_pico + cost_pico,
        cpu_us=held.cpu_us + cpu_us,
        uses=(*held.uses, *more),
    )


# -- chains


def roots(
    connection: sa.Connection, since_ms: int, until_ms: int | None, limit: int, before: Place | None = None
) -> RootPage:
    """What chains cost whose first invocation ended in that time: to the millisecond, with all that followed."""
    seen = connection.execute(_ended_between(since_ms, until_ms, before)).all()
    found: list[RootLine] = []
    left, last = _MOST_RECORDS, before
    for ended_at_ms, invocation_id, attempt, root_id in seen:
        # Bounded in records as well: a page of chains of ten thousand invocations each would read a million rows.
        if len(found) >= limit or left <= 0:
            return RootPage(found, last)
        last = (ended_at_ms, invocation_id, attempt)
        if root_id is None and (line := _root(connection, last)) is not None:
            found.append(line)
            left -= line.count
    return RootPage(found, last if len(seen) == _LOOKED_THROUGH else None)


def _ended_between(since_ms: int, until_ms: int | None, before: Place | None) -> sa.Select[Any]:
    place = (_R.c.ended_at_ms, _R.c.invocation_id, _R.c.attempt)
    query = sa.select(*place, _R.c.root_id).where(_R.c.ended_at_ms >= since_ms)
    if until_ms is not None:
        query = query.where(_R.c.ended_at_ms < until_ms)
    if before is not None:
        query = query.where(sa.tuple_(*place) < before)
    # Those that begin no chain are looked through too, and not skipped in SQL: there may be any number of them.
    return query.order_by(*(each.desc() for each in place)).limit(_LOOKED_THROUGH)


def _root(connection: sa.Connection, place: Place) -> RootLine | None:
    """The chain that begins with an invocation; None for an attempt that another one followed, which stands for it."""
    ended_at_ms, name, attempt = place
    own = _read(connection, _R.c.invocation_id == name)
    if not own or own[-1].attempt != attempt:
        return None
    records = [*own, *_read(connection, _R.c.root_id == name)]
    line = BillLine(name=name, count=0, requests=0, billed_ms=0, cost_pico=0, cpu_us=0)
    for _, _, _, _, memory_mb, *sums in rows(records[:_MOST_RECORDS]):
        line = _added(line, name, cast(int, memory_mb), cast(list[int], sums))
    return RootLine(
        **msgspec.structs.asdict(line),
        function=own[-1].function,
        trigger=own[-1].trigger,
        object=own[-1].object,
        ended_at_ms=ended_at_ms,
        is_cut=len(records) > _MOST_RECORDS,
    )


def _read(connection: sa.Connection, its: sa.ColumnElement[bool]) -> list[model.Record]:
    query = sa.select(_R.c.body).where(its).order_by(_R.c.invocation_id, _R.c.attempt).limit(_MOST_RECORDS + 1)
    return [_decode(body) for body in connection.scalars(query)]
