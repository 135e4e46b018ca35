"""No revision starves another: memory for few slots, and somebody whose backlog would hold all of it for good."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faas.cluster import demand
from faas.core import model
from faas.core import settings as settings_module
from tests import node_bench
from tests.eventually import eventually

FUNCTIONS = Path(__file__).parent.parent / "functions"
ECHO, SLOW = FUNCTIONS / "echo", FUNCTIONS / "slow"


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    quick = settings_module.changed(settings, engine="process", heartbeat_ms=100, lease_ms=5_000, stock_none=0)
    made = await node_bench.Bench.open(quick)
    yield made
    await made.close()


async def _backlog(bench: node_bench.Bench, count: int) -> model.Revision:
    """A revision of which ``count`` async invocations of 50 ms wait."""
    greedy = bench.function(SLOW, "app.handler", "greedy")
    for _ in range(count):
        await bench.send(greedy, 0.05)
    return greedy


@pytest.mark.parametrize("slots", [1, 4])
async def test_one_call_does_not_wait_for_the_whole_backlog_of_another_function(
    bench: node_bench.Bench, slots: int
) -> None:
    greedy = await _backlog(bench, 400 * slots)
    echo = bench.function(ECHO, "app.handler", "modest")
    node = await bench.node(memory_mb=64 * slots)
    await eventually(lambda: node.report().get("busy") == slots)
    outcome = await bench.call(echo, {"a": 1})
    assert outcome.record.status is model.Status.OK
    assert (await bench.counts(greedy)).waiting > 0, "it ran only when the backlog was gone"
    done = (await bench.counts(greedy)).done

    async def goes_on() -> bool:
        return (await bench.counts(greedy)).done > done

    await eventually(goes_on, within=30)  # and the backlog goes on after it


async def test_memory_of_slots_that_are_not_begun_yet_goes_to_who_has_none(bench: node_bench.Bench) -> None:
    greedy = bench.function(SLOW, "app.handler", "greedy", max_concurrency=100)
    for _ in range(60):
        await bench.send(greedy, 5.0)
    echo = bench.function(ECHO, "app.handler", "modest")
    node = await bench.node(memory_mb=64 * 40)
    await eventually(lambda: node.report().get("starting"))
    outcome = await bench.call(echo, {"a": 1})
    assert outcome.record.status is model.Status.OK
    assert (await bench.counts(greedy)).running < 20, "it waited until the other had nearly all of its slots"


async def test_memory_is_promised_to_no_more_slots_than_are_started_soon(bench: node_bench.Bench) -> None:
    greedy = bench.function(SLOW, "app.handler", "greedy", max_concurrency=100)
    for _ in range(60):
        await bench.send(greedy, 5.0)
    node = await bench.node(memory_mb=64 * 60)
    await eventually(lambda: node.report().get("starting"))
    assert node.memory.used_mb <= 64 * 2 * max(os.cpu_count() or 1, 2)


async def test_a_slot_that_was_in_use_a_moment_ago_is_not_taken_by_who_has_more(bench: node_bench.Bench) -> None:
    await _backlog(bench, 400)
    echo = bench.function(ECHO, "app.handler", "modest")
    node = await bench.node(memory_mb=64 * 3)
    await bench.call(echo, 0)
    await eventually(lambda: node.report().get("busy") == 2)
    sandboxes = set()
    for number in range(20):
        sandboxes.add((await bench.call(echo, number)).record.sandbox)
        await asyncio.sleep(0.1)
    assert len(sandboxes) == 1


async def test_a_function_of_which_many_revisions_have_work_gets_no_more_of_the_node_for_that(
    bench: node_bench.Bench,
) -> None:
    many = [await _backlog(bench, 200) for _ in range(6)]
    one = bench.function(SLOW, "app.handler", "modest")
    for _ in range(200):
        await bench.send(one, 0.05)
    await bench.node(memory_mb=2 * 64)

    async def done() -> bool:
        return (await bench.counts(one)).done >= 150

    await eventually(done, within=60)
    assert sum([(await bench.counts(each)).done for each in many]) < 2 * 150

    async def all_had_a_turn_or_one_is_done() -> list[int]:
        done_of_many = [(await bench.counts(each)).done for each in many]
        return done_of_many if min(done_of_many) > 0 or max(done_of_many) == 200 else []

    done_of_many = await eventually(all_had_a_turn_or_one_is_done, within=120)
    assert min(done_of_many) > 0, "one of its revisions waited until another had no work left"


@pytest.mark.parametrize("slots", [1, 4])
async def test_a_deploy_can_try_its_code_on_a_node_that_is_busy(bench: node_bench.Bench, slots: int) -> None:
    greedy = await _backlog(bench, 400 * slots)
    echo = bench.function(ECHO, "app.handler", "deployed")
    large = bench.function(ECHO, "app.handler", "large", memory_mb=64 * slots + 1)
    node = await bench.node(memory_mb=64 * slots)
    await eventually(lambda: node.report().get("busy") == slots)
    asking = await demand.Demand.open(bench.settings.redis.redis_url, bench.settings.redis.redis_prefix)
    assert (await asking.ask_load(echo.ref, 60_000)).ok
    assert (await bench.counts(greedy)).waiting > 0, "it was tried only when the backlog was gone"
    refused = await asking.ask_load(large.ref, 20_000)
    assert refused.error is not None
    assert "no memory is left" in refused.error.message
    await asking.close()


async def test_what_no_memory_of_this_node_is_enough_for_keeps_no_room_from_others(bench: node_bench.Bench) -> None:
    large = bench.function(ECHO, "app.handler", "large", memory_mb=1024)
    slow = bench.function(SLOW, "app.handler", "slow")
    node = await bench.node(memory_mb=2 * 64)
    await bench.send(large, 1)
    await eventually(lambda: large.ref in node.lanes)
    for _ in range(2):
        await bench.send(slow, 2.0)
    await eventually(lambda: node.report().get("busy") == 2)


async def test_an_old_revision_for_which_work_comes_late_keeps_no_slot_after_it(bench: node_bench.Bench) -> None:
    old = bench.function(ECHO, "app.handler", prewarm=1)
    bench.function(ECHO, "app.handler")
    node = await bench.node()
    assert node_bench.result(await bench.call(old, 1)) == 1
    await eventually(lambda: old.ref not in node.lanes, within=20)


async def test_an_old_revision_that_waits_for_room_has_its_slot_and_gives_its_memory_back(
    bench: node_bench.Bench,
) -> None:
    old = bench.function(ECHO, "app.handler")
    bench.function(ECHO, "app.handler")
    slow = bench.function(SLOW, "app.handler", "slow")
    node = await bench.node(memory_mb=64, keep_min_ms=0, keep_max_ms=0)
    await bench.send(slow, 5.0)
    await eventually(lambda: node.report().get("busy") == 1)
    assert node_bench.result(await bench.call(old, 1)) == 1
    await eventually(lambda: node.memory.used_mb == 0, within=20)


async def test_a_burst_of_first_calls_makes_no_more_slots_than_it_may_and_answers_every_call(
    bench: node_bench.Bench,
) -> None:
    echo = bench.function(ECHO, "app.handler", max_concurrency=3)
    await bench.node()
    outcomes = await asyncio.gather(*(bench.call(echo, number) for number in range(1_000)))
    assert [node_bench.result(outcome) for outcome in outcomes] == list(range(1_000))
    assert len({outcome.record.sandbox for outcome in outcomes}) <= 3


async def test_a_burst_of_first_calls_makes_no_more_slots_than_memory_has_room_for(bench: node_bench.Bench) -> None:
    echo = bench.function(ECHO, "app.handler")
    await bench.node(memory_mb=2 * 64 + 63)
    outcomes = await asyncio.gather(*(bench.call(echo, number) for number in range(300)))
    assert len({outcome.record.sandbox for outcome in outcomes}) <= 2
    assert all(outcome.record.status is model.Status.OK for outcome in outcomes)


async def test_async_work_and_sync_calls_of_one_revision_do_not_starve_each_other(bench: node_bench.Bench) -> None:
    slow = await _backlog(bench, 100)
    await bench.node(memory_mb=64)
    answered = await asyncio.gather(*(bench.call(slow, 0) for _ in range(20)))
    assert all(outcome.record.status is model.Status.OK for outcome in answered)
    assert (await bench.counts(slow)).waiting > 0, "the sync calls waited for all async work"

    async def settled() -> bool:
        return (await bench.counts(slow)).done == 120

    await eventually(settled, within=60)


async def test_the_stock_gives_way_to_a_revision_that_needs_its_memory(bench: node_bench.Bench) -> None:
    large = bench.function(ECHO, "app.handler", "large", memory_mb=128)
    node = await bench.node(memory_mb=128, stock_none=2, stock_memory_mb=64)
    await eventually(lambda: node.report().get("prewarmed") == 2, within=30)
    assert node_bench.result(await bench.call(large, 1)) == 1
    assert node.report().get("prewarmed", 0) == 0


async def test_memory_that_comes_free_goes_to_a_revision_that_waits_before_the_stock(bench: node_bench.Bench) -> None:
    slow = bench.function(SLOW, "app.handler", "slow", memory_mb=64)
    large = bench.function(ECHO, "app.handler", "large", memory_mb=128)
    node = await bench.node(memory_mb=128, stock_none=2, stock_memory_mb=64, keep_min_ms=0, keep_max_ms=0)
    for _ in range(2):
        await bench.send(slow, 1)
    await eventually(lambda: node.report().get("busy") == 2, within=30)
    call = asyncio.ensure_future(bench.call(large, 1))
    await eventually(lambda: node.memory.awaited_mb == 128, within=30)
    assert node_bench.result(await call) == 1
    await eventually(lambda: node.memory.awaited_mb == 0, within=30)
