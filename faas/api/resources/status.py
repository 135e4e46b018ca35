"""How the platform is: health, places of all invocations, nodes."""

from __future__ import annotations

import asyncio
from importlib import metadata

import msgspec
from aiohttp import web

from faas.api import answers, budget_states, schemas, state, views
from faas.core import clock
from faas.store import kept


async def health(request: web.Request) -> web.Response:
    """The process answers; says nothing of Redis or SQL."""
    return answers.json(schemas.status.Health())


class StatusQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which functions: all, or with ``at_work`` those that have something in a queue, or had lately.

    To count all of 10,000 functions keeps Redis from other work for some 50 ms; those at work cost what they are.
    """

    at_work: bool = False


async def platform_status(request: web.Request) -> web.Response:
    """Counts per function at one instant, the nodes whose lease holds, and what is kept."""
    asked = answers.query(request, StatusQuery)
    functions, calls = request.app[state.FUNCTIONS], request.app[state.CALLS]
    if asked.at_work:
        places = await calls.active_places()
        names = {ref.rpartition("@")[0] for ref in places}
    else:
        names = set(await asyncio.to_thread(functions.names))
        places = await calls.places()
    nodes = await request.app[state.CALLS].nodes()
    now_ms = clock.now_ms()
    reached = await asyncio.to_thread(request.app[state.BUDGETS].reached, now_ms)
    return answers.json(
        schemas.status.PlatformStatus(
            version=metadata.version("faas"),
            catalog=await asyncio.to_thread(functions.catalog_version),
            # Without signs, or what one revision misses would make up for what another has twice.
            drift=sum(abs(place.counts.drift) for place in places.values()),
            functions=views.places(places, names),
            nodes=views.nodes(nodes),
            kept=views.keeping(await asyncio.to_thread(kept.read, request.app[state.ENGINE])),
            budgets=tuple(budget_states.at_its_reaching(one, now_ms) for one in reached),
        )
    )
