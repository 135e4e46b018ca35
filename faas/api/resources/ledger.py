"""What happened: the records of attempts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, page_places, schemas, slow, state, views
from faas.core import errors, model
from faas.store import ledger


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


async def list_records(request: web.Request) -> web.Response:
    """The newest records that fit."""
    asked = answers.query(request, RecordsQuery)
    currency = request.app[state.PRICES].currency
    root_id = None if asked.root_id is None else await beginnings.of_invocation(request.app, asked.root_id)
    before = ledger.PagePlace(*page_places.parsed(asked.before)) if asked.before is not None else None
    if before is not None and asked.order != "ended":
        raise errors.BadRequest(f"query: before: pages are in the order of `ended`, not of {asked.order!r}")
    book = request.app[state.LEDGER]

    def made() -> schemas.attempts.Attempts:
        found, is_cut = book.page(
            asked.function, asked.since_ms, asked.status, asked.limit, before, root_id, asked.order
        )
        return schemas.attempts.Attempts(
            records=tuple(views.attempt(record, currency) for record in found),
            next=_next(found[-1]) if is_cut and asked.order == "ended" else None,
        )

    return await slow.json(request.app, made)


def _next(record: model.Record) -> str:
    return page_places.text((record.ended_at_ms, record.invocation_id, record.attempt))
