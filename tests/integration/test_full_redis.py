"""What is full refuses new work in time, and lets end what runs: nothing is lost, and there is a way out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from faas import recorder
from faas.cluster import leases
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import accepting, bounds, census, guards, idempotency, invocations, records, retrying, shipping
from faas.store import database, ledger
from faas.valkey import embedded
from tests import node_bench, samples
from tests.eventually import eventually

ECHO = Path(__file__).parents[1] / "functions" / "echo"
MOST_UNRECORDED = 100_000


@pytest.fixture
async def own(tmp_path: Path, settings: settings_module.Settings) -> AsyncIterator[settings_module.Settings]:
    """Settings with a small server of the test's own."""
    server = embedded.EmbeddedServer(tmp_path / "redis", memory_mb=64)
    yield settings_module.changed(
        settings, redis_url=await server.start(), engine="process", max_unrecorded_bytes=MOST_UNRECORDED
    )
    await server.stop()


@pytest.fixture
async def bench(own: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    """Nodes on that server, and a queue with its bounds."""
    opened = await node_bench.Bench.open(own)
    opened.queue = await invocations.Queue.of(own.redis, own.queues, own.results)
    yield opened
    await opened.close()


@pytest.fixture
async def queue(own: settings_module.Settings) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.of(own.redis, own.queues, own.results)
    yield opened
    drifts = {ref: counts.drift for ref, counts in (await opened.counts()).items()}
    assert not any(drifts.values()), drifts
    opened.close()


def invocation(mode: model.Mode = model.Mode.ASYNC, event: bytes = b"1") -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="echo", revision=3, trigger="invoke", mode=mode, event=event, accepted_at_ms=1
    )


@contextlib.asynccontextmanager
async def full(queue: invocations.Queue) -> AsyncIterator[None]:
    """For as long as this lasts the memory of Redis is full, and more than full."""
    await queue.link.call("CONFIG", "SET", "maxmemory", "1")
    yield
    await queue.link.call("CONFIG", "SET", "maxmemory", "0")


async def test_past_the_bound_of_records_nothing_is_accepted_until_some_are_in_the_ledger(
    own: settings_module.Settings,
) -> None:
    narrow = await invocations.Queue.connect(
        own.redis.redis_url, own.redis.redis_prefix, bounds.Bounds(unrecorded_bytes=1_000)
    )
    try:
        for _ in range(2):
            await narrow.enqueue(invocation())
        (first, second) = await narrow.claim("n1", "echo@3", 2)
        large = msgspec.structs.replace(samples.record(first.invocation), logs=(model.LogLine(1, "x" * 1_000),))
        finished = await narrow.finish_claimed(first, large, node="n1")
        assert finished.unrecorded_bytes > 1_000
        with pytest.raises(errors.Throttled, match="bytes of records wait for the ledger") as refused:
            await narrow.enqueue(invocation())
        assert refused.value.retry_after_s > 1
        assert (await narrow.finish_claimed(second, samples.record(second.invocation), node="n1")).settled == (True,)
        await _record_all(own)
        await narrow.enqueue(invocation())
        assert (await census.held(narrow)).is_right
    finally:
        narrow.close()


async def _record_all(own: settings_module.Settings) -> None:
    reader = await records.RecordsReader.open(own.redis.redis_url, own.redis.redis_prefix, "r1")
    while (got := await reader.read(1_000, 1)).records:
        await reader.done(got)
    await reader.close()


async def test_a_full_redis_refuses_new_work_and_lets_end_what_runs(queue: invocations.Queue) -> None:
    for mode in model.Mode:
        for _ in range(3):
            await queue.enqueue(invocation(mode))
    later = invocation()
    await queue.enqueue(later, delay_ms=1)
    call = invocation(model.Mode.SYNC)
    entry = await queue.enqueue(call)
    assert entry is not None
    await queue.link.call("SADD", queue.keys.nodes, "n1")
    handed = samples.record(invocation(model.Mode.SYNC))
    journal = shipping.Shipment("n1", 0, 100, msgspec.msgpack.encode([handed]), {"echo@3": 1, "echo@5": 2})
    (one,) = await queue.claim("n1", "echo@3", 1)
    async with full(queue):
        with pytest.raises(errors.Unavailable, match="OOM"):
            await queue.enqueue(invocation())
        assert await accepting.abandon(queue, entry, call, samples.record(call)) == 1
        finished = await queue.finish_claimed(one, samples.record(one.invocation), node="n1", claim_next=1)
        assert finished.settled == (True,)
        assert await queue.release(finished.claims[0])
        two, three, *rest = await queue.claim("n1", "echo@3", 4)
        again = leases.next_attempt(two.invocation)
        failed = samples.record(two.invocation, model.Status.ERROR)
        put_off = await retrying.send(queue, two, failed, again, 0)
        assert invocations.finished(put_off, (two,)).settled == (True,)
        assert (await queue.finish_claimed(three, samples.record(three.invocation), node="n1")).settled == (True,)
        assert shipping.shipped(await shipping.send(queue, journal), journal).mark == 100
        moved = 0

        async def both_were_moved() -> bool:
            nonlocal moved
            moved += (await retrying.move_due(queue))[0]
            return moved == 2

        await eventually(both_were_moved)
        assert await leases.take_over(queue, "n1") == len(rest)
        await queue.prepare("echo@4")
    assert (await queue.counts())["echo@3"].done == 4
    assert (await queue.counts())["echo@5"] == model.Counts(accepted=2, done=2)
    assert (await census.held(queue)).is_right


async def test_while_redis_is_full_every_process_can_start_and_records_leave(
    own: settings_module.Settings, queue: invocations.Queue
) -> None:
    await queue.enqueue(invocation())
    (claim,) = await queue.claim("n1", "echo@3", 1)
    await queue.finish_claimed(claim, samples.record(claim.invocation), node="n1")
    await queue.link.call("XADD", queue.keys.records, "*", "r", b"\xc1 no msgpack")
    some = [samples.record(claim.invocation), "no record", samples.record(claim.invocation)]
    await queue.link.call("XADD", queue.keys.records, "*", "b", msgspec.msgpack.encode(some))
    async with full(queue):
        await _record_all(own)
        assert await queue.link.call("XLEN", queue.keys.records) == 0
        assert await queue.link.call("XLEN", queue.keys.unreadable) == 2
        assert await census.unrecorded_bytes(queue) == 0
        another = await invocations.Queue.of(own.redis, own.queues, own.results)
        another.close()


async def test_an_answer_is_kept_for_its_idempotency_key_while_redis_is_full(queue: invocations.Queue) -> None:
    asked = idempotency.asked("k", "echo", b"", (b"1",), 60_000)
    call = invocation(model.Mode.SYNC)

    async def run() -> model.Outcome:
        await queue.link.call("CONFIG", "SET", "maxmemory", "1")
        return model.Outcome(record=samples.record(call), body=b"1")

    first = await idempotency.answer(queue, asked, call.id, run, within_ms=5_000)
    await queue.link.call("CONFIG", "SET", "maxmemory", "0")
    assert await idempotency.answer(queue, asked, ids.new_id(), run, within_ms=5_000) == first


async def test_what_is_recorded_makes_room_for_as_much(own: settings_module.Settings, queue: invocations.Queue) -> None:
    for _ in range(3):
        await queue.enqueue(invocation())
    for claim in await queue.claim("n1", "echo@3", 3):
        await queue.finish_claimed(claim, samples.record(claim.invocation), node="n1")
    before = await census.unrecorded_bytes(queue)
    reader = await records.RecordsReader.open(own.redis.redis_url, own.redis.redis_prefix, "r1")
    await reader.done(await reader.read(1, 1))
    assert await census.unrecorded_bytes(queue) == before * 2 // 3
    assert (await census.held(queue)).is_right
    await reader.close()


async def test_a_guarded_refusal_counts_its_record(queue: invocations.Queue) -> None:
    one = invocation()
    guard = guards.Guard(key="objects", field="a", value="1")
    assert await accepting.refuse(queue, one, samples.record(one, dead=True), guard)
    held = await census.held(queue)
    assert held.is_right
    assert held.unrecorded_bytes > 0


async def test_while_redis_refuses_to_write_hand_offs_go_on_and_are_settled_soon_after(
    bench: node_bench.Bench,
) -> None:
    """As with a full disk of its own. What is handed off is in the journal of the node, which has room."""
    revision = bench.function(ECHO, "app.handler", max_concurrency=2)
    node = await bench.node(heartbeat_ms=30_000, lease_ms=60_000)
    await bench.call(revision, 1)
    await eventually(node.can_hand_off)
    await bench.queue.link.call("CONFIG", "SET", "min-replicas-to-write", 1)
    for number in (2, 3):
        handed = bench.offer(node, bench.invocation(revision, number))
        assert handed is not None
        assert node_bench.result(await handed) == number
    await bench.queue.link.call("CONFIG", "SET", "min-replicas-to-write", 0)
    await eventually(lambda: _is_settled(bench, revision, 3), within=20)
    await eventually(node.can_hand_off)


async def test_without_a_recorder_work_is_refused_in_time_and_all_is_recorded_later(
    own: settings_module.Settings, bench: node_bench.Bench
) -> None:
    """Sync calls, handed off and queued, and async ones, until each way in refuses; then a recorder comes."""
    revision = bench.function(ECHO, "app.handler", max_concurrency=2)
    node = await bench.node()
    accepted: set[str] = set()
    while True:
        call = bench.invocation(revision, "s" * 200, sync=len(accepted) % 2 == 0)
        try:
            handed = bench.offer(node, call) if call.mode is model.Mode.SYNC else None
            if handed is not None:
                await handed
            else:
                await bench.queue.enqueue(call)
        except errors.Throttled as refused:
            assert "wait for the ledger" in refused.message
            break
        accepted.add(call.id)
    await eventually(lambda: not node.settler.ledger_keeps_up(revision.function))
    # Not all of it has run: what was accepted last has no room for its records before some are in the ledger.
    await eventually(lambda: _nothing_runs(bench, revision))
    held = await census.held(bench.queue)
    assert held.is_right
    assert MOST_UNRECORDED // 2 <= held.unrecorded_bytes < MOST_UNRECORDED, "the rest is for other functions"
    stop = asyncio.Event()
    recording = asyncio.create_task(recorder.run(own.data, own.redis, own.queues, stop))
    await eventually(lambda: _is_settled(bench, revision, len(accepted)), within=60)
    await eventually(lambda: _nothing_is_unrecorded(bench))
    assert node_bench.result(await bench.call(revision, 7)) is not None
    await eventually(lambda: node.settler.ledger_keeps_up(revision.function))
    await eventually(lambda: _nothing_is_unrecorded(bench))
    stop.set()
    await recording
    engine = await asyncio.to_thread(database.open_database, own.data)
    assert accepted <= await asyncio.to_thread(_recorded, engine)
    engine.dispose()


async def test_without_a_recorder_a_backlog_waits_instead_of_filling_redis_with_records_and_runs_later(
    own: settings_module.Settings,
) -> None:
    bench = await node_bench.Bench.open(own)
    try:
        revision = bench.function(ECHO, "app.handler", max_concurrency=2)
        for _ in range(2_000):
            await bench.queue.enqueue(bench.invocation(revision, "x", sync=False))
        node = await bench.node()
        await eventually(lambda: not node.settler.may_begin(revision.function), within=60)
        await eventually(lambda: _nothing_runs(bench, revision))
        assert (await bench.counts(revision)).waiting > 1_000
        assert MOST_UNRECORDED // 2 <= await census.unrecorded_bytes(bench.queue) < MOST_UNRECORDED
        stop = asyncio.Event()
        recording = asyncio.create_task(recorder.run(own.data, own.redis, own.queues, stop))
        await eventually(lambda: _is_settled(bench, revision, 2_000), within=60)
        await eventually(lambda: _nothing_is_unrecorded(bench))
        stop.set()
        await recording
    finally:
        await bench.close()


async def test_a_function_whose_records_took_its_share_leaves_every_way_in_to_the_others(
    bench: node_bench.Bench,
) -> None:
    greedy = bench.function(ECHO, "app.handler", "greedy", max_concurrency=1)
    other = bench.function(ECHO, "app.handler", "other", max_concurrency=1)
    node = await bench.node()
    for revision in (greedy, other):
        await bench.call(revision, 1)
    sent = 0
    with pytest.raises(errors.Throttled, match="records of greedy wait for the ledger"):
        while True:
            await bench.send(greedy, "x" * 200)
            sent += 1
            if sent % 50 == 0:
                await eventually(lambda: _nothing_waits(bench, greedy))
    await eventually(lambda: not node.settler.ledger_keeps_up("greedy"))
    assert bench.offer(node, bench.invocation(greedy, 2)) is None, "it would not be handed off"
    for number in range(20):
        handed = bench.offer(node, bench.invocation(other, number))
        assert handed is not None
        assert node_bench.result(await handed) == number
        assert node_bench.result(await bench.call(other, number)) == number
    await bench.send(other, 3)
    await eventually(lambda: _is_settled(bench, other, 42))


async def _nothing_waits(bench: node_bench.Bench, revision: model.Revision) -> bool:
    counts = await bench.counts(revision)
    return counts.waiting == 0


async def _nothing_runs(bench: node_bench.Bench, revision: model.Revision) -> bool:
    return (await bench.counts(revision)).running == 0


async def _is_settled(bench: node_bench.Bench, revision: model.Revision, count: int) -> bool:
    return (await bench.counts(revision)).done == count


async def _nothing_is_unrecorded(bench: node_bench.Bench) -> bool:
    return await bench.queue.link.call("XLEN", bench.queue.keys.records) == 0


def _recorded(engine: sa.Engine) -> set[str]:
    return {record.invocation_id for record in ledger.Ledger(engine).find(limit=100_000)}
