"""A node over real queues: how work reaches slots, and how slots come and go. Sandboxes are processes, for speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import redis

from faas.cluster import capacity, catalog, leases
from faas.core import model
from faas.core import settings as settings_module
from runners import node as runner
from tests import node_bench
from tests.eventually import eventually

HERE = Path(__file__).parent.parent
CODE = HERE / "docker" / "sandbox_functions"


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    quick = settings_module.changed(settings, engine="process", heartbeat_ms=100, lease_ms=1_000)
    made = await node_bench.Bench.open(quick)
    yield made
    await made.close()


async def test_a_first_call_waits_for_a_sandbox_and_its_record_says_so(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo")
    node = await bench.node(stock_none=0)
    cold = await bench.call(echo, {"a": 1})
    assert node_bench.result(cold) == {"a": 1}
    assert cold.record.cold_start is model.ColdStart.FULL
    assert cold.record.init_ms > 0
    warm = await bench.call(echo, {"a": 2})
    assert (warm.record.cold_start, warm.record.init_ms) == (model.ColdStart.NONE, 0)
    assert warm.record.billed_ms >= 1
    assert warm.record.cost_pico > 0
    assert warm.record.node == node.node


async def test_a_prewarmed_sandbox_is_claimed_and_replaced(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo")
    node = await bench.node(stock_none=1)
    await eventually(lambda: node.report().get("prewarmed") == 1)
    assert (await bench.call(echo)).record.cold_start is model.ColdStart.PREWARMED
    await eventually(lambda: node.report().get("prewarmed") == 1)


async def test_a_call_is_handed_to_an_idle_slot_and_its_answer_does_not_wait_for_redis(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo")
    node = await bench.node()
    assert bench.offer(node, bench.invocation(echo)) is None
    await bench.call(echo)
    await eventually(lambda: _idle(node, echo) == 1)
    handed = bench.offer(node, bench.invocation(echo, "now"))
    assert handed is not None
    assert node_bench.result(await handed) == "now"
    counts = await eventually(lambda: _settled(bench, echo, 2))
    assert counts.done == 2
    assert {record.status for record in await bench.records(2)} == {model.Status.OK}


async def test_where_attempts_are_short_calls_wait_in_line_for_a_slot_and_run_in_order(bench: node_bench.Bench) -> None:
    count = bench.function(CODE, "app.count", max_concurrency=1)
    node = await bench.node()
    await bench.call(count)
    await eventually(lambda: _idle(node, count) == 1)
    handed = [bench.offer(node, bench.invocation(count)) for _ in range(10)]
    assert [node_bench.result(await outcome) for outcome in handed if outcome is not None] == list(range(2, 12))
    counts = await eventually(lambda: _settled(bench, count, 11))
    assert (counts.accepted, counts.done) == (11, 11)


async def test_those_in_line_go_to_the_queue_when_no_slot_is_left(bench: node_bench.Bench) -> None:
    leaves = bench.function(CODE, "app.leaves_or_stays", max_concurrency=1)
    node = await bench.node()
    await bench.call(leaves, "stay")
    await eventually(lambda: _idle(node, leaves) == 1)
    first, second = (bench.offer(node, bench.invocation(leaves, event)) for event in ("leave", "stay"))
    assert first is not None and second is not None
    assert (await first).record.status is model.Status.ERROR
    assert node_bench.result(await second) == "stay"


async def test_a_claim_that_redis_does_not_answer_keeps_no_slot_from_sync_calls(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler")
    node = await bench.node()
    await bench.call(slow, 0)
    await eventually(lambda: _idle(node, slow) == 1)
    with redis.Redis.from_url(bench.settings.redis.redis_url) as client:
        client.client_pause(60_000, all=False)
        try:
            node.lanes[slow.ref].claims.heard()
            async with asyncio.timeout(50):
                for _ in range(3):
                    offered = bench.offer(node, bench.invocation(slow, 0))
                    assert offered is not None
                    await offered
                assert len(node.lanes[slow.ref].slots) == 1
                some = [bench.offer(node, bench.invocation(slow, 3)) for _ in range(3)]
                await eventually(lambda: _busy(node, slow) == 3)
                for offered in some:
                    assert offered is not None
                    await offered
        finally:
            client.client_unpause()


async def test_who_waits_in_redis_and_who_stands_in_line_take_turns(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler", max_concurrency=1)
    node = await bench.node()
    first = asyncio.create_task(bench.call(slow, 0.2))
    await eventually(lambda: _busy(node, slow) == 1)
    queued = [asyncio.create_task(bench.call(slow, 0.02)) for _ in range(3)]
    await eventually(lambda: _waits(bench, slow, 3))
    in_line = [bench.offer(node, bench.invocation(slow, 0.02)) for _ in range(3)]
    await first
    ended = [(await one).record.started_at_ms for one in (*queued, *(offered for offered in in_line if offered))]
    assert len(ended) == 6
    assert max(ended[:2]) < max(ended[3:])
    assert max(ended[3:5]) < max(ended[:3])


async def test_a_backlog_of_async_work_delays_a_sync_call_by_one_attempt_at_most(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler", max_concurrency=1)
    node = await bench.node()
    for _ in range(100):
        await bench.send(slow, 0.01)
    await bench.records(3)
    offered = bench.offer(node, bench.invocation(slow, 0))
    assert offered is not None
    await offered
    assert (await bench.counts(slow)).waiting > 50
    await bench.call(slow, 0)
    assert (await bench.counts(slow)).waiting > 40


async def test_async_work_reaches_an_idle_slot_by_the_parked_read(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo")
    node = await bench.node()
    await bench.call(echo)
    await eventually(lambda: node.lanes[echo.ref].is_parked)
    sent = [await bench.send(echo, number) for number in range(5)]
    assert sorted(record.invocation_id for record in await bench.records(6))[1:] == sorted(sent)


async def test_a_burst_of_first_calls_is_answered_by_no_more_slots_than_may_be(bench: node_bench.Bench) -> None:
    count = bench.function(CODE, "app.count", max_concurrency=3)
    node = await bench.node()
    outcomes = await asyncio.gather(*(bench.call(count) for _ in range(60)))
    assert all(outcome.record.status is model.Status.OK for outcome in outcomes)
    assert len({outcome.record.sandbox for outcome in outcomes}) <= 3
    assert _total(node, count) <= 3


async def test_memory_that_is_promised_bounds_the_sandboxes(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler", memory_mb=100)
    node = await bench.node(memory_mb=250, stock_none=0)
    outcomes = await asyncio.gather(*(bench.call(slow, 0.05) for _ in range(8)))
    assert len({outcome.record.sandbox for outcome in outcomes}) <= 2
    assert node.memory.used_mb <= 250


async def test_an_idle_slot_makes_room_for_another_function(bench: node_bench.Bench) -> None:
    one = bench.function(CODE, "app.echo", "one", memory_mb=200)
    other = bench.function(CODE, "app.echo", "other", memory_mb=200)
    node = await bench.node(memory_mb=300, stock_none=0)
    await bench.call(one)
    await bench.call(other)
    assert [_total(node, revision) for revision in (one, other)] == [0, 1]
    assert node.memory.used_mb == 200


async def test_idle_slots_go_when_their_time_is_over_but_not_those_held_ready(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo", "echo")
    ready = bench.function(CODE, "app.echo", "ready", prewarm=2)
    node = await bench.node(keep_min_ms=50, keep_max_ms=50)
    await bench.call(echo)
    await eventually(lambda: _total(node, echo) == 0)
    await eventually(lambda: _idle(node, ready) == 2)
    first = await bench.call(ready)
    assert (first.record.cold_start, first.record.init_ms) == (model.ColdStart.NONE, 0)


async def test_slots_of_a_replaced_revision_go_and_new_calls_run_the_new_one(bench: node_bench.Bench) -> None:
    old = bench.function(CODE, "app.echo")
    node = await bench.node()
    await bench.call(old)
    new = bench.function(CODE, "app.count")
    await node.adopt(bench.store.catalog_version(), bench.store.list_current())
    assert node_bench.result(await bench.call(new)) == 1
    await eventually(lambda: old.ref not in node.lanes)
    assert node_bench.result(await bench.call(old, "still")) == "still"


@pytest.mark.parametrize(
    ("handler", "event", "status", "error"),
    [
        ("app.leaves", 3, "error", "Runtime.ExitError"),
        ("app.kills_itself", None, "error", "Runtime.ExitError"),
        ("app.never_returns", None, "timeout", "Sandbox.Timedout"),
        ("app.hostile", "writes garbage", "error", "Runtime.ProtocolError"),
        ("app.hostile", "closes its socket", "error", "Runtime.ProtocolError"),
    ],
)
async def test_a_function_that_misbehaves_costs_its_own_invocation_only(
    bench: node_bench.Bench, handler: str, event: object, status: str, error: str
) -> None:
    bad = bench.function(CODE, handler, "bad", timeout_ms=300)
    good = bench.function(CODE, "app.echo", "good")
    await bench.node()
    failed, answered = await asyncio.gather(bench.call(bad, event), bench.call(good, "fine"))
    assert failed.record.status == status
    assert failed.record.error is not None
    assert failed.record.error.type == error
    assert node_bench.result(answered) == "fine"
    assert (await bench.call(bad, event)).record.status == status


async def test_an_import_that_fails_is_an_init_error_and_is_not_billed(bench: node_bench.Bench) -> None:
    broken = bench.function(HERE / "functions" / "init_raises", "app.handler")
    await bench.node()
    outcome = await bench.call(broken)
    assert outcome.record.status is model.Status.INIT_ERROR
    assert (outcome.record.billed_ms, outcome.record.cost_pico) == (0, 0)


async def test_a_failed_async_call_is_dead_and_a_failed_sync_call_is_done(bench: node_bench.Bench) -> None:
    bad = bench.function(CODE, "app.leaves", retries=model.Retries(maximum_retry_attempts=0))
    await bench.node()
    await bench.send(bad, 1)
    await bench.call(bad, 1)
    counts = await eventually(lambda: _settled(bench, bad, 2))
    assert (counts.done, counts.dead) == (1, 1)


async def test_a_sandbox_that_goes_while_idle_is_replaced_and_no_call_notices(bench: node_bench.Bench) -> None:
    later = bench.function(CODE, "app.dies_later")
    node = await bench.node()
    first = await bench.call(later)
    await eventually(lambda: _total(node, later) == 0)
    second = await bench.call(later)
    assert {first.record.status, second.record.status} == {model.Status.OK}
    assert first.record.sandbox != second.record.sandbox


async def test_two_nodes_share_the_work_of_one_revision(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler", prewarm=1, max_concurrency=2)
    nodes = [await bench.node(), await bench.node()]
    await eventually(lambda: all(_idle(node, slow) for node in nodes))
    outcomes = await asyncio.gather(*(bench.call(slow, 0.05) for _ in range(12)))
    assert {outcome.record.node for outcome in outcomes} == {node.node for node in nodes}


async def test_a_drained_node_finishes_what_runs_and_leaves_nothing_behind(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler", max_concurrency=1)
    node = await bench.node()
    calls = [asyncio.create_task(bench.call(slow, 0.3)) for _ in range(2)]
    await eventually(lambda: _busy(node, slow) == 1)
    await node.drain(10)
    bench.nodes.remove(node)
    assert not node.memory.used_mb
    assert node.node not in await leases.dead_nodes(bench.queue)
    assert await bench.queue.link.call("EXISTS", bench.queue.keys.slots(node.node)) == 0
    assert (await bench.counts(slow)).waiting == 1
    await bench.node()
    outcomes = await asyncio.gather(*calls)
    assert [outcome.record.status for outcome in outcomes] == [model.Status.OK] * 2


async def test_what_outlasts_the_grace_period_is_given_back(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler")
    node = await bench.node()
    await bench.send(slow, 1)
    await eventually(lambda: _busy(node, slow) == 1)
    await node.drain(0.05)
    bench.nodes.remove(node)
    assert (await bench.counts(slow)).waiting == 1
    (lost,) = await bench.records(1)
    assert (lost.status, lost.final, lost.billed_ms) == (model.Status.LOST, False, 0)
    await bench.node()
    (ok,) = await bench.records(1)
    assert (ok.status, ok.attempt) == (model.Status.OK, 2)


async def test_outcomes_of_a_time_without_redis_are_kept_and_settled_when_it_is_back(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler")
    node = await bench.node()
    await bench.send(slow, 0.3)
    await eventually(lambda: _busy(node, slow) == 1)
    node.queue.link.connection.close()
    counts = await eventually(lambda: _settled(bench, slow, 1))
    assert counts.done == 1
    assert node_bench.result(await bench.call(slow, 0)) > 0


async def test_a_claim_whose_answer_was_lost_with_the_connection_waits_again_and_runs(bench: node_bench.Bench) -> None:
    slow = bench.function(HERE / "functions" / "slow", "app.handler", max_concurrency=1)
    node = await bench.node()
    running = asyncio.create_task(bench.call(slow, 0.5))
    await eventually(lambda: _busy(node, slow) == 1)
    sent = await bench.send(slow, 0)
    assert (
        len(await bench.queue.claim(node.node, slow.ref, 1)) == 1
    )  # in the name of the node, which does not hear of it
    await running
    found = {record.invocation_id: record for record in await bench.records(2)}
    assert (found[sent].status, found[sent].attempt) == (model.Status.OK, 1)


async def test_a_claim_that_was_lost_is_found_also_when_its_revision_was_replaced_meanwhile(
    bench: node_bench.Bench,
) -> None:
    old = bench.function(HERE / "functions" / "slow", "app.handler", max_concurrency=1)
    node = await bench.node(lease_ms=4_000)
    running = asyncio.create_task(bench.call(old, 0.3))
    await eventually(lambda: _busy(node, old) == 1)
    sent = await bench.send(old, 0)
    assert len(await bench.queue.claim(node.node, old.ref, 1)) == 1, (
        "in the name of the node, which does not hear of it"
    )
    bench.function(CODE, "app.count")
    await node.adopt(bench.store.catalog_version(), bench.store.list_current())
    await running
    found = {record.invocation_id: record for record in await bench.records(2)}
    assert (found[sent].status, found[sent].attempt) == (model.Status.OK, 1)
    await eventually(lambda: old.ref not in node.lanes, within=15)


async def test_slots_that_redis_believes_in_and_that_are_not_there_keep_nothing_waiting(
    bench: node_bench.Bench,
) -> None:
    echo = bench.function(CODE, "app.echo", max_concurrency=2)
    node = await bench.node()
    capacity.publish(bench.queue, node.node, echo.ref, 2)  # as if the word of their end had been refused by a full disk
    await bench.send(echo)
    (record,) = await bench.records(1)
    assert record.status is model.Status.OK


async def test_a_node_whose_rounds_take_long_renews_its_lease_meanwhile(
    bench: node_bench.Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def takes_long(_node: runner.Node) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(runner.Node, "_tidy", takes_long)
    node = await bench.node(heartbeat_ms=100)
    first = await _beat(bench, node)
    await eventually(lambda: _is_later_than(bench, node, first + 2))


async def _beat(bench: node_bench.Bench, node: runner.Node) -> int:
    lease = await bench.queue.link.call("GET", bench.queue.keys.node(node.node))
    return msgspec.json.decode(lease, type=catalog.NodeState).beat


async def _is_later_than(bench: node_bench.Bench, node: runner.Node, beat: int) -> bool:
    return await _beat(bench, node) > beat


async def _settled(bench: node_bench.Bench, revision: model.Revision, count: int) -> model.Counts | None:
    counts = await bench.counts(revision)
    return counts if counts.done + counts.dead == count else None


async def _is_gone(bench: node_bench.Bench, key: str) -> bool:
    return bool(await bench.queue.link.call("EXISTS", key) == 0)


async def _waits(bench: node_bench.Bench, revision: model.Revision, count: int) -> bool:
    return (await bench.counts(revision)).waiting == count


def _idle(node: runner.Node, revision: model.Revision) -> int:
    return len(node.lanes[revision.ref].idle) if revision.ref in node.lanes else 0


def _busy(node: runner.Node, revision: model.Revision) -> int:
    return node.lanes[revision.ref].busy if revision.ref in node.lanes else 0


def _total(node: runner.Node, revision: model.Revision) -> int:
    return node._pool.seats[revision.ref].total if revision.ref in node.lanes else 0
