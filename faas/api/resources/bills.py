"""What was billed: by function, day, trigger, tag or chain, and what it would have cost elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from faas.api import answers, list_prices, page_places, schemas, slow, state
from faas.core import errors
from faas.core.money import billing, comparing
from faas.store import bills


class BillQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to add up. Without ``since_ms`` and ``until_ms`` everything is counted.

    ``tag`` is the key of the tag by whose values attempts are counted; without it, by all of their tags together.
    ``as`` names list prices that the same work is compared with. ``limit`` and ``before`` are for chains (``root``),
    newest first; ``before`` is ``next`` of the page that this one follows.
    """

    by: Literal["function", "day", "trigger", "tag", "root"] = "function"
    since_ms: answers.Moment | None = None
    until_ms: answers.Moment | None = None
    tag: str | None = None
    as_: str | None = msgspec.field(default=None, name="as")
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    before: str | None = None


async def bill(request: web.Request) -> web.Response:
    """A statement."""
    asked = answers.query(request, BillQuery)
    price = None if asked.as_ is None else list_prices.of(asked.as_)
    _check(asked)
    return await slow.json(request.app, lambda: _answer(request.app, asked, price))


def _answer(app: web.Application, asked: BillQuery, price: comparing.ListPrice | None) -> schemas.bills.Bill:
    ledger, currency = app[state.LEDGER], app[state.PRICES].currency
    since_ms, following = asked.since_ms or 0, None
    lines: Sequence[bills.BillLine]
    if asked.by == "root":
        before = None if asked.before is None else page_places.parsed(asked.before)
        page = ledger.bill_of_chains(since_ms, asked.until_ms, asked.limit, before)
        lines, following = page.lines, None if page.next is None else page_places.text(page.next)
    else:
        lines = ledger.bill(since_ms, asked.by, asked.until_ms, asked.tag)
    return statement(asked, lines, currency, price, following)


def _check(asked: BillQuery) -> None:
    """Raise `errors.BadRequest` for what does not go together."""
    if asked.tag is not None and asked.by != "tag":
        raise errors.BadRequest(f"query: tag: a bill by {asked.by} has none", hint="add by=tag")
    if asked.before is not None and asked.by != "root":
        raise errors.BadRequest(f"query: before: a bill by {asked.by} has one page")
    if asked.since_ms is not None and asked.until_ms is not None and asked.since_ms >= asked.until_ms:
        raise errors.BadRequest("query: until_ms: it ends before it begins", hint="since_ms is the earlier moment")


def statement(
    asked: BillQuery,
    lines: Sequence[bills.BillLine],
    currency: str,
    price: comparing.ListPrice | None = None,
    following: str | None = None,
) -> schemas.bills.Bill:
    """A statement, added up in whole pico-units: its total is the sum of its lines. Pure."""
    made = tuple(_item(line, price) for line in lines)
    return schemas.bills.Bill(
        by=asked.by,
        tag=asked.tag,
        since_ms=asked.since_ms,
        until_ms=asked.until_ms,
        currency=currency,
        lines=made,
        total=schemas.bills.Amount(**_sums(made, price)),
        compared=None if price is None else _compared(price, lines),
        next=following,
    )


def _item(line: bills.BillLine, price: comparing.ListPrice | None) -> schemas.bills.BillItem:
    root = {}
    if isinstance(line, bills.RootLine):
        named = ("function", "trigger", "object", "ended_at_ms", "is_cut")
        root = {name: getattr(line, name) for name in named}
    there = None if price is None else comparing.cost_pico(price, line.uses)
    return schemas.bills.BillItem(
        name=line.name,
        count=line.count,
        billed_count=line.requests,
        billed_ms=line.billed_ms,
        mb_ms=sum(use.memory_mb * use.billed_ms for use in line.uses),
        cpu_us=line.cpu_us,
        cost_pico=line.cost_pico,
        cost_decimal=billing.decimal(line.cost_pico),
        **_there(there),
        **root,
    )


def _sums(lines: Iterable[schemas.bills.BillItem], price: comparing.ListPrice | None) -> dict[str, Any]:
    lines = tuple(lines)
    added = {name: sum(getattr(line, name) for line in lines) for name in _ADDED}
    # Of the lines and not of all uses together: a total that is not the sum of its lines would be called wrong.
    there = None if price is None else sum(line.there_pico or 0 for line in lines)
    return {**added, "cost_decimal": billing.decimal(added["cost_pico"]), **_there(there)}


_ADDED = ("count", "billed_count", "billed_ms", "mb_ms", "cpu_us", "cost_pico")


def _there(pico: int | None) -> dict[str, Any]:
    return {"there_pico": pico, "there_decimal": None if pico is None else billing.decimal(pico)}


def _compared(price: comparing.ListPrice, lines: Iterable[bills.BillLine]) -> schemas.bills.Compared:
    return schemas.bills.Compared(
        title=price.title,
        region=price.region,
        architecture=price.architecture,
        dated=price.dated,
        sources=price.sources,
        currency=price.currency,
        counts=price.counts,
        leaves_out=price.leaves_out,
        unknown=sum(comparing.unknown(line.uses) for line in lines),
    )
