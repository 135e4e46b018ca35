"""Lineage: what an event led to, and what all of it took and cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, slow, state, trace_view
from faas.core import clock, errors, model
from faas.store import chains


class TracesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which chains: those that ended since ``since_ms``, the ``slowest``, ``costliest`` or ``latest`` first."""

    order: chains.Order = "latest"
    since_ms: answers.Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20


async def list_traces(request: web.Request) -> web.Response:
    """Chains of more than one invocation."""
    asked = answers.query(request, TracesQuery)
    book, currency = request.app[state.CHAINS], request.app[state.PRICES].currency
    return await slow.json(
        request.app,
        lambda: schemas.traces.TraceList(
            currency=currency,
            traces=tuple(trace_view.line(chain) for chain in book.find(asked.order, asked.since_ms, asked.limit)),
        ),
    )


async def trace(request: web.Request) -> web.Response:
    """The chain that an invocation belongs to. Raises `errors.NotFound`."""
    app = request.app
    invocation_id = await beginnings.of_invocation(app, request.match_info["id"])
    root_id = await _root(app, invocation_id)
    # In the order in which invocations move on, so that what does meanwhile is seen at least once.
    looked = await app[state.CALLS].of_chain(root_id)
    unrecorded = await app[state.CALLS].unrecorded_of_chain(root_id)
    found, is_cut = await slow.asked(app, app[state.CHAINS].records, root_id, trace_view.MOST + 1)
    if not (looked.unsettled or unrecorded or found):
        raise errors.NotFound(
            f"no invocation {invocation_id}",
            hint="async ones are known at once, sync ones when their first attempt has ended",
            id=invocation_id,
        )
    return await slow.json(
        app,
        lambda: trace_view.trace(
            root_id,
            (*unrecorded, *found),
            looked,
            app[state.UNDELIVERED].of(_failed(found)),
            now_ms=clock.now_ms(),
            currency=app[state.PRICES].currency,
            is_cut=looked.was_cut or is_cut,
        ),
    )


def _failed(records: Iterable[model.Record]) -> list[str]:
    """The async invocations that are settled: only their records go to destinations."""
    return [each.invocation_id for each in records if each.final and each.mode is model.Mode.ASYNC]


async def _root(app: web.Application, invocation_id: str) -> str:
    """The first invocation of the chain. What nobody knows may be one whose followers are known."""
    records = await asyncio.to_thread(app[state.LEDGER].get, invocation_id)
    if records:
        return chains.chain_id(records[0])
    found = await app[state.CALLS].find(invocation_id)
    if found is not None and found.invocation is not None:
        return found.invocation.chain_id
    if found is not None and found.outcome is not None:
        return chains.chain_id(found.outcome.record)
    return invocation_id
