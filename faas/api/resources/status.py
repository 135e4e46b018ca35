"""How the platform is: health, places of all invocations, nodes."""

from __future__ import annotations

import asyncio
from importlib import metadata

from aiohttp import web

from faas.api import answers, schemas, state, views
from faas.api.resources import budgets
from faas.core import clock
from faas.store import kept


async def health(request: web.Request) -> web.Response:
    """The process answers; says nothing of Redis or SQL."""
    return answers.json(schemas.status.Health())


async def platform_status(request: web.Request) -> web.Response:
    """Counts per function at one instant, the nodes whose lease holds, and what is kept."""
    functions = request.app[state.FUNCTIONS]
    revisions = await asyncio.to_thread(functions.list_current)
    places = await request.app[state.CALLS].places()
    nodes = await request.app[state.CALLS].nodes()
    now_ms = clock.now_ms()
    reached = await asyncio.to_thread(request.app[state.BUDGETS].reached, now_ms)
    return answers.json(
        schemas.status.PlatformStatus(
            version=metadata.version("faas"),
            catalog=await asyncio.to_thread(functions.catalog_version),
            # Without signs, or what one revision misses would make up for what another has twice.
            drift=sum(abs(place.counts.drift) for place in places.values()),
            functions=views.places(places, [revision.function for revision in revisions]),
            nodes=views.nodes(nodes),
            kept=views.keeping(await asyncio.to_thread(kept.read, request.app[state.ENGINE])),
            budgets=tuple(budgets.told(one, now_ms) for one in reached),
        )
    )
