"""Where events come from: the records stream, the lines in the ledger, the history of alarms, and all places."""

from __future__ import annotations

import asyncio
import functools

import msgspec
from aiohttp import web

from faas.api import schemas, state, views
from faas.api.live import hub as live
from faas.api.live import live_lines
from faas.core import clock, model
from faas.core.logs import filters
from faas.core.money import billing
from faas.queue import tail

_BLOCK_MS = 1_000
_STATUS_EVERY_S = 1.0
_GATHER_S = 0.1
_MOST_RECORDS = 100
"""Of so many a tenth of a second the newest are told: a thousand rows a second is more than anybody reads."""
_MOST_LINES = 500
_MOST_EVENTS = 500
_MOST_FUNCTIONS = 500


def hub(app: web.Application) -> live.Hub:
    """The hub of a control API, with all its sources."""
    return live.Hub(
        {
            "record": functools.partial(_records, app),
            "log": functools.partial(_lines, app),
            "status": functools.partial(_status, app),
            "alarm": functools.partial(_alarms, app),
        }
    )


async def _records(app: web.Application, tell: live.Tell) -> None:
    redis = app[state.REDIS]
    following = await tail.Tail.open(redis.redis_url, redis.redis_prefix)
    try:
        while True:
            seen = await following.read(_BLOCK_MS)
            for record in seen.records[-_MOST_RECORDS:]:
                tell(live.ServerEvent("record", _figures(record), record.function, record.invocation_id))
            if seen.is_cut or len(seen.records) > _MOST_RECORDS:
                tell(live.missed(None))
            # However fast attempts end, the stream is read ten times a second.
            await asyncio.sleep(_GATHER_S)
    finally:
        await following.close()


def _figures(record: model.Record) -> bytes:
    """A record without what it printed and without its stack: what a row in a list shows."""
    failure = record.error
    return msgspec.json.encode(
        schemas.events.RecordEvent(
            invocation_id=record.invocation_id,
            attempt=record.attempt,
            function=record.function,
            revision=record.revision,
            trigger=record.trigger,
            mode=record.mode,
            status=record.status,
            error=None if failure is None else schemas.attempts.Failure(failure.type, failure.message),
            cold_start=record.cold_start is not model.ColdStart.NONE,
            queue_ms=record.queue_ms,
            init_ms=record.init_ms,
            duration_ms=record.duration_us / 1000,
            billed_ms=record.billed_ms,
            cost_pico=record.cost_pico,
            cost_decimal=billing.decimal(record.cost_pico),
            accepted_at_ms=record.accepted_at_ms,
            started_at_ms=record.started_at_ms,
            ended_at_ms=record.ended_at_ms,
            parent_id=record.parent_id,
            root_id=record.root_id,
            object=record.object,
            final=record.final,
            dead=record.dead,
        )
    )


async def _lines(app: web.Application, tell: live.Tell) -> None:
    """Lines as they are printed, or recorded. Of all functions: the hub gives each listener those of its own."""
    async for found in live_lines.follow(app, filters.LogFilter()):
        for line in found[-_MOST_LINES:]:
            tell(live.ServerEvent("log", msgspec.json.encode(line), line.function, line.invocation_id))
        if len(found) > _MOST_LINES:
            tell(live.missed(None))


async def _alarms(app: web.Application, tell: live.Tell) -> None:
    store = app[state.ALARMS]
    last = await asyncio.to_thread(store.last_event)
    while True:
        await asyncio.sleep(_STATUS_EVERY_S)
        found = await asyncio.to_thread(store.events_after, last, _MOST_EVENTS)
        for number, event in found:
            last, told = number, msgspec.convert(event, schemas.alarms.AlarmEvent, from_attributes=True)
            tell(live.ServerEvent("alarm", msgspec.json.encode(told), event.function or None))


async def _status(app: web.Application, tell: live.Tell) -> None:
    calls = app[state.CALLS]
    while True:
        places, nodes = await calls.active_places(), await calls.nodes()
        at_work = views.places(places, ())
        told = schemas.events.StatusEvent(
            at_ms=clock.now_ms(),
            waiting=sum(each.waiting for each in at_work.values()),
            running=sum(each.running for each in at_work.values()),
            functions=dict(list(at_work.items())[:_MOST_FUNCTIONS]),
            nodes=views.nodes(nodes),
        )
        tell(live.ServerEvent("status", msgspec.json.encode(told)))
        await asyncio.sleep(_STATUS_EVERY_S)
