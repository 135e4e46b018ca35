"""Destinations and lineage from a real attempt on: a node with process sandboxes, two schedulers' parts, a ledger."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa

from faas import delivery, recorder
from faas.cluster import leases
from faas.core import model
from faas.core import settings as settings_module
from faas.core.calls import dispatch, tracing, unrun
from faas.queue import census, outbox, whereabouts
from faas.serving import port
from faas.store import database, ledger, undelivered
from tests import node_bench
from tests.eventually import eventually
from triggers import delayed, timer, upload
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

FUNCTION = Path(__file__).parents[1] / "functions" / "destinations"
NEVER = model.Retries(maximum_retry_attempts=0)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AFTER = model.ToFunction(function="after")


class Platform:
    """A bench with what else a platform runs, and its ledger."""

    def __init__(self, bench: node_bench.Bench, engine: sa.Engine) -> None:
        self.bench = bench
        self.queue = bench.queue
        self.ledger = ledger.Ledger(engine)
        self.given_up = undelivered.UndeliveredRecords(engine)

    def function(self, handler: str, name: str, **config: Any) -> model.Revision:
        return self.bench.function(FUNCTION, f"app.{handler}", name, **config)

    async def attempts(self, function: str, count: int) -> list[model.Record]:
        """The attempts of a function, once there are so many."""
        return await eventually(lambda: self._attempts(function, count), within=30)  # type: ignore[no-any-return]

    async def _attempts(self, function: str, count: int) -> list[model.Record]:
        found = await asyncio.to_thread(self.ledger.find, function)
        assert len(found) >= count
        return found

    async def is_over(self) -> bool:
        """Whether nothing is under way any more."""
        counts = (await self.queue.counts()).values()
        return not any(each.waiting + each.running + each.retrying for each in counts) and not sum(
            (await outbox.lengths(self.queue)).values()
        )


@pytest.fixture
async def platform(settings: settings_module.Settings) -> AsyncIterator[Platform]:
    bench = await node_bench.Bench.open(settings_module.changed(settings, engine="process", stock_none=0))
    engine = database.open_database(settings.data)
    opened = Platform(bench, engine)
    stop = asyncio.Event()
    parts = [
        recorder.run(bench.settings.data, bench.settings.redis, bench.settings.queues, stop),
        delayed.run(bench.queue, stop),
        upload.run(bench.settings.sandboxes, bench.settings.data, bench.queue, bench.store, stop),
        *(delivery.run(bench.settings, bench.queue, bench.store, opened.given_up, stop) for _ in range(2)),
    ]
    running = [asyncio.create_task(part) for part in parts]
    yield opened
    held = await census.held(bench.queue)
    stop.set()
    await asyncio.gather(*running)
    await bench.close()
    engine.dispose()
    assert held.is_right, held


async def test_an_attempt_that_went_well_runs_its_destination_which_knows_its_parent(platform: Platform) -> None:
    source = platform.function("works", "source", on_success=AFTER, on_failure=model.ToFunction(function="wrong"))
    after = platform.function("works", "after")
    platform.function("works", "wrong")
    await platform.bench.node()
    name = await platform.bench.send(source, {"n": 1})
    (record,) = await platform.attempts("after", 1)
    assert (record.status, record.trigger, record.depth) == (model.Status.OK, "destination", 1)
    assert (record.parent_id, record.root_id) == (name, name)
    assert record.revision == after.number
    await eventually(platform.is_over)
    assert platform.ledger.find("wrong") == []
    assert {each.function for each in platform.ledger.find(root_id=name)} == {"source", "after"}


async def test_a_sync_call_and_one_that_is_taken_back_tell_nobody(platform: Platform) -> None:
    source = platform.function("works", "source", on_success=AFTER, on_failure=AFTER)
    platform.function("works", "after")
    invocation = platform.bench.invocation(source, sync=False)
    await platform.queue.enqueue(invocation, delay_ms=60_000)
    found = await whereabouts.find(platform.queue, invocation.id)
    assert found is not None
    record = unrun.cancelled(invocation, 1)
    assert await whereabouts.cancel(platform.queue, invocation, found.packed, record)
    await platform.bench.node()
    await platform.bench.call(source)
    await platform.attempts("source", 2)
    again = platform.function("works", "again", on_success=AFTER, on_failure=AFTER, idempotent=True)
    await platform.bench.call(again)
    await platform.attempts("again", 1)
    assert await outbox.lengths(platform.queue) == {}
    assert platform.ledger.find("after") == []


async def test_what_fails_for_good_tells_why_once_its_attempts_are_over(platform: Platform) -> None:
    retries = model.Retries(maximum_retry_attempts=1, backoff_ms=10)
    source = platform.function("fails", "source", on_failure=model.ToBucket(bucket="out"), retries=retries)
    platform.bench.store.activate([], [model.Bucket(name="out")])
    await platform.bench.node()
    name = await platform.bench.send(source, "e")
    record = await told(platform, "source", name)
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responsePayload"]["errorType"] == "ValueError"
    assert record["responsePayload"]["errorMessage"] == "it broke"
    assert record["requestPayload"] == "e"


async def test_what_has_no_destination_leaves_nothing_in_an_outbox(settings: settings_module.Settings) -> None:
    bench = await node_bench.Bench.open(settings_module.changed(settings, engine="process", stock_none=0))
    revision = bench.function(FUNCTION, "app.works", on_failure=AFTER)
    await bench.node()
    await bench.send(revision)
    await bench.records(1)
    assert await outbox.lengths(bench.queue) == {}
    await bench.close()


async def told(platform: Platform, function: str, name: str) -> dict[str, Any]:
    """The record in the bucket ``out``."""
    file = platform.bench.settings.data.root / "buckets" / "out" / function / f"{name}.json"
    await eventually(file.is_file, within=30)
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


async def test_what_is_too_old_to_be_tried_again_says_so(platform: Platform) -> None:
    retries = model.Retries(maximum_event_age_ms=1_000, backoff_ms=10)
    source = platform.function("fails", "source", on_failure=model.ToBucket(bucket="out"), retries=retries)
    platform.bench.store.activate([], [model.Bucket(name="out")])
    old = platform.bench.invocation(source, sync=False)
    old = msgspec.structs.replace(old, accepted_at_ms=old.accepted_at_ms - 60_000)
    await platform.queue.enqueue(old)
    await platform.bench.node()
    record = await told(platform, "source", old.id)
    assert record["requestContext"]["condition"] == "EventAgeExceeded"


async def test_an_invocation_lost_with_its_last_node_tells_its_destination(platform: Platform) -> None:
    source = platform.function("works", "source", on_failure=model.ToBucket(bucket="out"))
    plain = platform.function("works", "plain")
    platform.bench.store.activate([], [model.Bucket(name="out")])
    names = []
    for revision in (source, plain):
        invocation = platform.bench.invocation(revision, sync=False)
        names.append(invocation.id)
        await platform.queue.enqueue(msgspec.structs.replace(invocation, attempt=3))
        assert await platform.queue.claim("dead", revision.ref, 1)
    await leases.take_over(platform.queue, "dead")
    record = await told(platform, "source", names[0])
    assert record["responsePayload"]["errorType"] == "Platform.Lost"
    await eventually(platform.is_over)
    assert platform.given_up.find(None, 9) == []


async def test_functions_that_feed_one_another_stop_at_sixteen_links(platform: Platform) -> None:
    ping = platform.function("works", "ping", on_success=model.ToFunction(function="pong"))
    platform.function(
        "works", "pong", on_success=model.ToFunction(function="ping"), on_failure=model.ToBucket(bucket="out")
    )
    platform.bench.store.activate([], [model.Bucket(name="out")])
    await platform.bench.node()
    root = await platform.bench.send(ping)
    await eventually(platform.is_over, within=60)
    await platform.attempts("pong", 9)
    chain = sorted(platform.ledger.find(root_id=root), key=lambda record: record.depth)
    assert [record.depth for record in chain] == list(range(18))
    assert [record.parent_id for record in chain[1:]] == [record.invocation_id for record in chain[:-1]]
    last = chain[-1]
    assert last.error is not None
    assert (last.status, last.dead, last.error.type) == (model.Status.REJECTED, True, "Platform.ChainTooDeep")
    record = await told(platform, "pong", last.invocation_id)
    assert record["requestContext"]["condition"] == "ChainTooDeep"


async def test_what_an_object_triggers_knows_the_invocation_that_wrote_it(platform: Platform) -> None:
    first = platform.function("writes", "first", buckets={"out": model.Access.WRITE})
    second = platform.function("works", "second", triggers=(model.UploadTrigger(bucket="out"),), on_success=AFTER)
    platform.function("works", "after")
    platform.bench.store.activate([second], [model.Bucket(name="out")])
    await platform.bench.node()
    name = await platform.bench.send(first)
    (last,) = await platform.attempts("after", 1)
    (middle,) = await platform.attempts("second", 1)
    assert (middle.parent_id, middle.root_id, middle.depth) == (name, name, 1)
    assert (last.parent_id, last.root_id, last.depth) == (middle.invocation_id, name, 2)


async def test_a_triggers_own_retries_stand_in_place_of_its_functions(platform: Platform) -> None:
    quick = model.Retries(maximum_retry_attempts=2, backoff_ms=10)
    triggers = (
        model.HttpTrigger(path="/a"),
        model.TimerTrigger(every_ms=3_600_000, retries=NEVER),
    )
    source = platform.function("fails", "source", retries=quick, triggers=triggers)
    await platform.bench.node()
    made = timer.Timer("source/x", source, 1, triggers[1], 0)  # type: ignore[arg-type]
    fired = timer.invocation_of(made, 3_600_000, time.time_ns() // 1_000_000, "local")
    called = msgspec.structs.replace(platform.bench.invocation(source, sync=False), trigger_place=0)
    await platform.queue.enqueue(fired)
    await platform.queue.enqueue(called)
    await eventually(platform.is_over, within=30)
    records = await platform.attempts("source", 4)
    assert sorted(record.attempt for record in records if record.invocation_id == fired.id) == [1]
    assert sorted(record.attempt for record in records if record.invocation_id == called.id) == [1, 2, 3]


async def test_a_loop_through_a_url_of_the_own_gateway_ends_with_a_record(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    """``source`` writes an object, which ``watcher`` gets, whose record is POSTed to ``source``."""
    table = routes.Routes([])
    bounds = limits.Limits(max_event_bytes=6_000_000, max_queue_wait_ms=20_000)
    made = gateways.Gateway(platform.queue, platform.bench.answers, dispatch.NoHandOff(), lambda: table, bounds)
    async with port.serving(server.GatewayServer(made), "127.0.0.1", 0, grace_s=5, farewell_s=0.0) as url:
        route = model.HttpTrigger(path="/source")
        source = platform.function("writes", "source", buckets={"out": model.Access.WRITE}, triggers=(route,))
        platform.function(
            "works",
            "watcher",
            env={"KEY": "s3cret"},
            on_success=model.ToUrl(url=f"{url}/source", secret="KEY"),
            triggers=(model.UploadTrigger(bucket="out"),),
        )
        platform.bench.store.activate([], [model.Bucket(name="out")])
        await platform.bench.node()
        table = routes.Routes([source])
        brought = {"traceparent": TRACEPARENT, "tracestate": "a=1"}
        async with (
            aiohttp.ClientSession(headers=brought) as session,
            session.post(f"{url}/source", data=b"{}") as answer,
        ):
            assert answer.status == 200
        await eventually(lambda: "chain_stopped" in caplog.messages, within=60)
        await eventually(platform.is_over, within=30)
        stopped = next(each for each in await platform.attempts("watcher", 9) if each.dead)
        assert stopped.error is not None
        assert (stopped.error.type, stopped.depth) == ("Platform.ChainTooDeep", 17)
        ran = await platform.attempts("source", 9)
        assert sorted(each.depth for each in ran) == list(range(0, 18, 2))
        assert {each.root_id for each in ran if each.depth} == {stopped.root_id}
        # Through queues, objects and requests to the URL all of it is in the caller's trace, each below its cause.
        for each in (*ran, *await platform.attempts("watcher", 9)):
            above = TRACEPARENT[36:52] if each.parent_id is None else tracing.span_id(each.parent_id)
            assert each.trace == model.TraceContext(f"{TRACEPARENT[:36]}{above}-01", "a=1")
