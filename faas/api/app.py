"""The control API: everything that it is made of, on one screen."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator
from importlib import metadata

import msgspec
from aiohttp import web

from faas import buckets, builds
from faas.api import answers, budget_states, calls, middleware, openapi, pages, routes, slow, state, table
from faas.api.entry import door, guarding
from faas.api.live import live_lines
from faas.api.prometheus import scraping
from faas.api.resources import deployments, events, overview
from faas.core import settings as settings_module
from faas.core.http import hosts
from faas.core.money import budgets as core_budgets
from faas.health import checks, facts, looks
from faas.serving import guarded
from faas.store import (
    alarms,
    budgets,
    chains,
    counters,
    database,
    dead_letters,
    functions,
    keep_rules,
    ledger,
    logs,
    rollups,
    undelivered,
)
from faas.web import files

MIDDLEWARES = (
    # Outermost, so that what all the others refuse has the one shape.
    middleware.errors_as_json,
    guarded.watched,
    middleware.strangers_refused,
    # Before the token is asked for: the page holds nothing of this platform, and it is where people log in.
    pages.opened,
    middleware.token_required,
    middleware.nul_refused,
)
"""What surrounds every handler, the outermost first."""


def create_app(
    settings: settings_module.Settings,
    token: str,
    builder: builds.Builds,
    health: facts.Checks = checks.CHECKS,
    processes: scraping.Processes = scraping.none,
) -> web.Application:
    """The control API of the platform that ``settings`` name; whoever calls it must send ``token``.

    ``health`` are the checks whose facts it tells, and ``processes`` those of the platform on this machine.
    """
    app = web.Application(middlewares=MIDDLEWARES)
    _groups(app, settings)
    app[middleware.NAMES] = hosts.of(settings.listening.host_names) | {
        settings.listening.host.lower(),
        socket.gethostname().lower(),
    }
    app[state.BUILDS] = builder
    app[state.BUCKETS] = buckets.Known(buckets.opener(settings.data))
    app[state.LOOKS] = looks.Looks(settings, health)
    app[scraping.PROCESSES] = processes
    app[scraping.SCRAPES] = scraping.Scrapes()
    app[budget_states.DECLARED] = budget_states.DeclaredBudgets()
    app[middleware.TOKEN] = token
    app[pages.FILES] = files.load()
    app[overview.KEPT] = overview.KeptRanks()
    app.on_response_prepare.append(guarding.guard)
    app.cleanup_ctx.append(
        functools.partial(door.hang, token=token, redis=settings.redis, proxies=settings.listening.trusted_proxies)
    )
    # These end in the reverse order: whoever reads stores and links is gone before they are closed.
    app.cleanup_ctx.append(_stores)
    app.cleanup_ctx.append(slow.threads)
    app.cleanup_ctx.append(_links)
    app.cleanup_ctx.append(deployments.sweep)
    app.cleanup_ctx.append(_looks)
    app.cleanup_ctx.append(live_lines.heard)
    app.cleanup_ctx.append(events.told)
    for route in TABLE:
        app.router.add_route(route.method, route.path, _served(route))
    pages.add_routes(app)
    return app


def _groups(app: web.Application, settings: settings_module.Settings) -> None:
    """Give handlers the groups of settings that they read."""
    app[state.DATA] = settings.data
    app[state.REDIS] = settings.redis
    app[state.QUEUES] = settings.queues
    app[state.RESULTS] = settings.results
    app[state.SANDBOXES] = settings.sandboxes
    app[state.BUILDING] = settings.building
    app[state.PRICES] = settings.prices
    app[state.BUDGET_OF_ALL] = core_budgets.of_all(settings.budgets)
    app[state.TELEMETRY] = settings.telemetry
    app[state.RETENTION] = settings.retention


def _served(route: routes.Route) -> middleware.Handler:
    """A row's handler. Where the row takes no query, one is refused here; handlers that take one read it themselves."""
    if route.query is not answers.NoQuery:
        return route.handler

    async def handler(request: web.Request) -> web.StreamResponse:
        answers.query(request, answers.NoQuery)
        return await route.handler(request)

    return handler


async def _stores(app: web.Application) -> AsyncIterator[None]:
    engine = await asyncio.to_thread(database.open_database, app[state.DATA])
    app[state.FUNCTIONS] = functions.Functions(engine)
    app[state.ROLLUPS] = rollups.Rollups(engine)
    app[state.LEDGER] = ledger.Ledger(engine)
    app[state.DEAD_LETTERS] = dead_letters.DeadLetters(engine)
    app[state.UNDELIVERED] = undelivered.UndeliveredRecords(engine)
    app[state.COUNTERS] = counters.Counters(engine, app[state.TELEMETRY].metrics_functions)
    app[state.CHAINS] = chains.Chains(engine)
    app[state.LOGS] = logs.Logs(engine)
    app[state.BUDGETS] = budgets.ReachedBudgets(engine)
    app[state.ALARMS] = alarms.Alarms(engine)
    app[state.KEEP_RULES] = keep_rules.KeepRules(engine)
    app[state.ENGINE] = engine
    yield
    await asyncio.to_thread(engine.dispose)


async def _links(app: web.Application) -> AsyncIterator[None]:
    app[state.CALLS] = await calls.Calls.open(app[state.REDIS], app[state.QUEUES], app[state.RESULTS])
    yield
    await app[state.CALLS].close()


async def _looks(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[state.LOOKS].close()


async def document(request: web.Request) -> web.Response:
    """This API as an OpenAPI 3.1 document."""
    return web.Response(body=_document(), content_type="application/json")


@functools.cache
def _document() -> bytes:
    """Made once: it takes some 25 ms, and some who ask at once would hold up all others."""
    return msgspec.json.encode(openapi.document(TABLE, metadata.version("faas")))


DOCUMENT = routes.Route(
    method="GET",
    path="/api/v1/openapi.json",
    handler=document,
    summary="This document.",
    responses=(routes.Response(description="OpenAPI 3.1."),),
)

TABLE = (*table.ROUTES, DOCUMENT)
"""Every route of the control API."""
