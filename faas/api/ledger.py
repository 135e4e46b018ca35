"""What happened and what it costs: records, statistics, statements."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, state, views
from faas.core import clock, errors, model
from faas.store import ledger

_DAY_MS = 86_400_000


class RecordsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which records: the newest that fit. ``before`` is ``next`` of the page that this one follows.

    ``root_id`` is the first invocation of a chain, whose records come along. ``status`` may come several times.
    ``order`` puts first what ran longest (``duration``), waited longest (``queue``) or was prepared longest (``init``);
    then there is no next page.
    """

    function: str | None = None
    since_ms: answers.Moment | None = None
    status: tuple[model.Status, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    before: str | None = None
    root_id: str | None = None
    order: ledger.Order = "ended"


class StatsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which attempts: of one function, or all; of the last day when ``since_ms`` is not given."""

    function: str | None = None
    since_ms: answers.Moment | None = None


class BillQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to add up. Without ``since_ms`` everything is counted."""

    by: ledger.By = "function"
    since_ms: answers.Moment | None = None


async def list_records(request: web.Request) -> web.Response:
    """The newest records that fit."""
    asked = answers.query(request, RecordsQuery)
    currency = request.app[state.PRICES].currency
    root_id = None if asked.root_id is None else await beginnings.of_invocation(request.app, asked.root_id)
    before = _place(asked.before) if asked.before is not None else None
    if before is not None and asked.order != "ended":
        raise errors.BadRequest(f"query: before: pages are in the order of `ended`, not of {asked.order!r}")
    found = await asyncio.to_thread(
        request.app[state.LEDGER].find,
        asked.function,
        asked.since_ms,
        asked.status,
        asked.limit,
        before,
        root_id,
        asked.order,
    )
    return answers.json(
        schemas.Attempts(
            records=tuple(views.attempt(record, currency) for record in found),
            next=_cursor(found[-1]) if len(found) == asked.limit and asked.order == "ended" else None,
        )
    )


def _cursor(record: model.Record) -> str:
    return f"{record.ended_at_ms}.{record.attempt}.{record.invocation_id}"


def _place(cursor: str) -> ledger.PagePlace:
    ended_at_ms, _, rest = cursor.partition(".")
    attempt, _, invocation_id = rest.partition(".")
    try:
        at_ms, number = int(ended_at_ms), int(attempt)
        if not (0 <= at_ms <= answers.LATEST_MS and 0 <= number <= answers.LATEST_MS):
            raise ValueError("out of bounds")
    except ValueError as error:
        raise errors.BadRequest(f"query: before: {cursor!r} is no `next` of a page") from error
    return ledger.PagePlace(at_ms, invocation_id, number)


async def stats(request: web.Request) -> web.Response:
    """Counts and percentiles per function."""
    asked = answers.query(request, StatsQuery)
    since_ms = clock.now_ms() - _DAY_MS if asked.since_ms is None else asked.since_ms
    found = await asyncio.to_thread(request.app[state.LEDGER].stats, since_ms)
    chosen = tuple(views.stats(each) for each in found if asked.function in (None, each.function))
    return answers.json(schemas.StatsAnswer(since_ms=since_ms, functions=chosen))


async def bill(request: web.Request) -> web.Response:
    """A statement by function, day or trigger."""
    asked = answers.query(request, BillQuery)
    lines = await asyncio.to_thread(request.app[state.LEDGER].bill, asked.since_ms or 0, asked.by)
    return answers.json(views.bill(lines, asked.by, asked.since_ms, request.app[state.PRICES].currency))
