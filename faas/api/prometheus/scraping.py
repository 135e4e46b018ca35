"""One scrape of /metrics: what is asked of SQL, Redis and this machine, and what it is made into."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from aiohttp import web
from prometheus_client import exposition

from faas.api import budget_states, state
from faas.api.prometheus import metrics, metrics_budgets, metrics_platform
from faas.core import clock
from faas.core.money import budgets
from faas.store import kept

Processes = Callable[[], Sequence[metrics_platform.Process]]
"""Tells what the processes of the platform on this machine use. It may block."""

PROCESSES: web.AppKey[Processes] = web.AppKey("processes")


def none() -> Sequence[metrics_platform.Process]:
    """Where nobody knows of any."""
    return ()


class Scrapes:
    """One scrape at a time: whoever asks meanwhile gets the same answer."""

    def __init__(self) -> None:
        self._running: asyncio.Task[bytes] | None = None

    async def body(self, app: web.Application) -> bytes:
        """The body of /metrics. Raises `errors.Unavailable`."""
        if self._running is None:
            self._running = asyncio.create_task(_scraped(app), name="scrape")
            self._running.add_done_callback(self._done)
        return await asyncio.shield(self._running)

    def _done(self, task: asyncio.Task[bytes]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # whoever waits hears of it, and may have gone


SCRAPES = web.AppKey("scrapes", Scrapes)


async def prometheus(request: web.Request) -> web.Response:
    """Everything that was recorded and everything that waits, for Prometheus."""
    body = await request.app[SCRAPES].body(request.app)
    return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})


async def _scraped(app: web.Application) -> bytes:
    calls, functions, counters = app[state.CALLS], app[state.FUNCTIONS], app[state.COUNTERS]
    seen = metrics.Scrape(
        counted=await asyncio.to_thread(counters.read),
        places=await calls.places(),
        nodes=await calls.nodes(),
        outboxes=await calls.outboxes(),
        undelivered=await asyncio.to_thread(app[state.UNDELIVERED].counts),
        unfit=await calls.unfit(bucket.name for bucket in await asyncio.to_thread(functions.buckets)),
        kept=(await asyncio.to_thread(kept.read, app[state.ENGINE])).kinds,
        platform=await _platform(app),
        name_of=counters.name_of,
        skipped=await calls.skipped(),
        alarms=await asyncio.to_thread(app[state.ALARMS].counts),
        budgets=await asyncio.to_thread(_budgets, app, counters.name_of, clock.now_ms()),
    )
    # With some hundred functions that is half a second of a processor, which others need not wait for.
    return await asyncio.to_thread(metrics.render, seen)


async def _platform(app: web.Application) -> metrics_platform.Platform:
    calls = app[state.CALLS]
    return metrics_platform.Platform(
        redis_latency_s=await calls.latency_s(),
        unrecorded_bytes=await calls.unrecorded_bytes(),
        sink_lags_ms=await calls.sink_lags_ms(),
        sql_latency_s=await asyncio.to_thread(_sql_latency_s, app[state.ENGINE]),
        processes=await asyncio.to_thread(app[PROCESSES]),
    )


def _budgets(app: web.Application, name_of: Callable[[str], str], now_ms: int) -> metrics_budgets.Gauged:
    """How many budgets are in which state, and how far those are whose function has a name in metrics. Blocks."""
    named, reached = budget_states.named(app), budget_states.reached(app, now_ms)
    counts = collections.Counter(
        budget_states.state_name(one, now_ms) for one in reached.values() if one.function in named
    )
    counts["under"] = len(named) - counts.total()
    shown = {name: each for name, each in named.items() if name == budgets.ALL or name_of(name) == name}
    spent = budget_states.spent(app[state.BUDGETS], shown, now_ms)
    return metrics_budgets.Gauged(
        counts, [budget_states.state_of(name, shown[name], spent[name], reached, now_ms) for name in shown]
    )


def _sql_latency_s(engine: sa.Engine) -> float:
    with engine.connect() as connection:
        begun = clock.steady_s()
        connection.execute(sa.select(1))
        return clock.steady_s() - begun
