"""Counting what waits while everything goes on: exact when nothing moves, never a false alarm, never long in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from faas.core import errors, ids, model
from faas.queue import census, destined, invocations, outbox, recount, shipping
from tests.samples import record

REFS = ("a", "b", "c")
ONE_CALL_US = 100_000
"""It is some milliseconds on a machine that does nothing else; all entries in one call took three seconds."""
MEGA = 1_000_000


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    opened.close()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "STEP_ENTRIES", 7)
    monkeypatch.setattr(recount, "STEP_BYTES", 2_000)


def an_invocation(size: int, function: str = "a", mode: model.Mode = model.Mode.ASYNC) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function=function, revision=1, trigger="invoke", mode=mode, event=b"x" * size, accepted_at_ms=1
    )


async def fill(queue: invocations.Queue) -> None:
    """Something in each place that counts, some of it claimed."""
    for size in range(40):
        for name in REFS:
            await queue.enqueue(an_invocation(size * 10, name, list(model.Mode)[size % 2]))
    for _ in range(30):
        await queue.enqueue(an_invocation(50), delay_ms=3_600_000)
    await queue.claim("n", "a@1", 5)
    left = msgspec.msgpack.encode([record(an_invocation(10)) for _ in range(20)])
    for step in range(10):
        await shipping.send(queue, shipping.Shipment("n", step, step + 1, left, {"b@1": 20}))
    dead = an_invocation(300)
    settled = destined.settled(record(dead, dead=True), model.Condition.RETRIES_EXHAUSTED)
    for number in range(10):
        await outbox.put_back(queue, settled, dead, number)


@pytest.mark.usefixtures("small_steps")
async def test_whatever_waits_is_counted_exactly_in_many_small_steps(queue: invocations.Queue) -> None:
    await fill(queue)
    held = await census.held(queue)
    assert held.is_right and held.is_exact, held
    assert held.entries == 3 * 40 + 30 + 10
    assert held.unrecorded_bytes > 0


async def test_whatever_waits_is_counted_exactly_when_a_step_has_no_time_for_more_than_a_few(
    queue: invocations.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recount, "STEP_S", 0.0)
    steps, recounted = 0, recount._Counting._step

    async def counted(counting: recount._Counting, streams: Any) -> bool:
        nonlocal steps
        steps += 1
        return await recounted(counting, streams)

    monkeypatch.setattr(recount._Counting, "_step", counted)
    await fill(queue)
    held = await census.held(queue)
    assert held.is_right and held.is_exact, held
    assert held.entries == 3 * 40 + 30 + 10
    assert steps >= 14, "ten at a time, and some more"


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("field", ["entries", "bytes", "unrecorded"])
@pytest.mark.parametrize("by", [-1, 1])
async def test_a_counter_that_is_wrong_by_one_is_found(queue: invocations.Queue, field: str, by: int) -> None:
    await fill(queue)
    await queue.link.call("HINCRBY", queue.keys.held, field, by)
    assert not (await census.held(queue)).is_right


async def test_nothing_is_counted_exactly_where_nothing_is(queue: invocations.Queue) -> None:
    assert await census.held(queue) == recount.Recounted(
        entries=0, bytes=0, unrecorded_bytes=0, counted_entries=0, counted_bytes=0, counted_unrecorded_bytes=0
    )


@pytest.mark.usefixtures("small_steps")
async def test_what_comes_before_the_last_step_is_counted_too_also_in_queues_that_are_new_and_when_it_is_much(
    queue: invocations.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(queue)
    sum_up, more = recount._Counting.sum_up, [(20, "a"), (3, "new"), (2, "newer")]

    async def sum_up_after_more(counting: recount._Counting) -> recount._Instant:
        count, name = more.pop(0) if more else (0, "")
        for size in range(count):
            await queue.enqueue(an_invocation(size, name))
        return await sum_up(counting)

    monkeypatch.setattr(recount._Counting, "sum_up", sum_up_after_more)
    held = await census.held(queue)
    assert held.is_right and held.is_exact, held
    assert held.entries == 3 * 40 + 30 + 10 + 20 + 3
    assert more == [(2, "newer")], "twenty are more than one step counts, three are not"


async def churn(queue: invocations.Queue, seed: int) -> None:
    """Enqueue, claim and finish for ever."""
    for turn in range(1_000_000):
        name = REFS[(turn + seed) % len(REFS)]
        await queue.enqueue(an_invocation(turn * 37 % 900, name))
        for claim in await queue.claim("n", f"{name}@1", turn % 3):
            await queue.finish_claimed(claim, record(claim.invocation), node="n")
        if turn % 5 == 0:
            await queue.enqueue(an_invocation(90, name), delay_ms=3_600_000)


@pytest.mark.parametrize(("entries", "most_s"), [(100, 100.0), (7, 0.1)])
async def test_a_counter_that_moves_is_no_false_alarm_and_a_wrong_one_is_found_all_the_same(
    queue: invocations.Queue, redis_url: str, monkeypatch: pytest.MonkeyPatch, entries: int, most_s: float
) -> None:
    """Also when more comes than can be counted."""
    monkeypatch.setattr(recount, "STEP_ENTRIES", entries)
    monkeypatch.setattr(recount, "_MOST_S", most_s)
    await fill(queue)
    other = await invocations.Queue.connect(redis_url, queue.keys.prefix)
    moving = [asyncio.create_task(churn(other, seed)) for seed in range(3)]
    for _ in range(15):
        held = await census.held(queue)
        assert held.is_right, held
    await queue.link.call("HINCRBY", queue.keys.held, "entries", 1)
    assert not (await census.held(queue)).is_right
    for task in moving:
        task.cancel()
    await asyncio.wait(moving)
    other.close()


async def test_large_events_are_never_long_in_redis_and_leave_no_memory_behind(queue: invocations.Queue) -> None:
    """One call of Redis at a time is short, by Redis's own clock."""
    call = queue.link.call
    for _ in range(30):
        await queue.enqueue(an_invocation(5 * MEGA))
    before = await _memory(queue)
    await call("CONFIG", "SET", "slowlog-log-slower-than", ONE_CALL_US)
    try:
        await call("SLOWLOG", "RESET")
        held = await census.held(queue)
        slow = [entry for entry in await call("SLOWLOG", "GET", 100) if entry[3][0].upper() == b"EVALSHA"]
    finally:
        await call("CONFIG", "SET", "slowlog-log-slower-than", 10_000)
    assert held.is_right and held.bytes > 150 * MEGA
    assert slow == []
    assert await _memory(queue) - before < 60 * MEGA


async def _memory(queue: invocations.Queue) -> int:
    told = (await queue.link.call("INFO", "memory")).decode()
    return int(next(line for line in told.splitlines() if line.startswith("used_memory:")).partition(":")[2])


@pytest.mark.usefixtures("small_steps")
async def test_a_redis_that_goes_away_midway_is_told(queue: invocations.Queue) -> None:
    await fill(queue)
    counting = asyncio.create_task(census.held(queue))
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(errors.Unavailable):
        await counting
