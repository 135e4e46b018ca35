"""Which revisions have work: looked for where work is, and not at every revision that exists."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from faas.cluster import leases
from faas.core import ids, model
from faas.queue import active, invocations, retiring, retrying
from tests.samples import record

MANY = 250


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    opened.close()


def of(function: str, mode: model.Mode = model.Mode.ASYNC) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function=function, revision=1, trigger="invoke", mode=mode, event=b"1", accepted_at_ms=1
    )


async def looks(queue: invocations.Queue) -> int:
    """How many streams Redis has been asked about."""
    told = (await queue.link.call("INFO", "commandstats")).decode()
    return sum(
        int(line.split("calls=")[1].split(",")[0])
        for line in told.splitlines()
        if line.startswith(("cmdstat_xlen:", "cmdstat_xpending:", "cmdstat_xinfo"))
    )


async def is_active(queue: invocations.Queue, ref: str) -> bool:
    return bool(await queue.link.call("SISMEMBER", queue.keys.active, ref))


async def test_only_revisions_for_which_something_waits_are_told(queue: invocations.Queue) -> None:
    for mode in model.Mode:
        await queue.enqueue(of(f"waits_{mode}", mode))
    await queue.enqueue(of("runs"))
    await queue.claim("n", "runs@1", 1)
    await queue.enqueue(of("due_later"), delay_ms=3_600_000)
    await queue.prepare("idle@1")
    assert sorted(await active.waiting(queue)) == ["waits_async@1", "waits_sync@1"]


async def test_a_revision_whose_work_has_ended_is_looked_at_no_more_until_more_comes(queue: invocations.Queue) -> None:
    for _ in range(2):
        await queue.enqueue(of("f"))
        (claim,) = await queue.claim("n", "f@1", 1)
        assert await active.waiting(queue) == []
        assert await is_active(queue, "f@1"), "a claim may be taken over"
        await queue.finish_claimed(claim, record(claim.invocation), node="n")
        assert await active.waiting(queue) == []
        assert not await is_active(queue, "f@1")


async def test_work_that_comes_back_is_looked_for(queue: invocations.Queue) -> None:
    """Given back, due again, and from another way in: each after the revision was forgotten as idle."""
    await queue.enqueue(of("f"))
    (claim,) = await queue.claim("n", "f@1", 1)
    await queue.link.call("DEL", queue.keys.active)
    await queue.release(claim)
    assert await active.waiting(queue) == ["f@1"]
    (claim,) = await queue.claim("n", "f@1", 1)
    await retrying.send(queue, claim, record(claim.invocation), claim.invocation, 0)
    assert await active.waiting(queue) == []
    await retrying.move_due(queue, 10)
    assert await active.waiting(queue) == ["f@1"]


async def test_idle_revisions_cost_nothing(queue: invocations.Queue) -> None:
    for number in range(MANY):
        await queue.prepare(f"idle{number}@1")
    await queue.enqueue(of("f"))
    before = await looks(queue)
    await active.waiting(queue)
    await leases.holders(queue)
    assert await looks(queue) - before <= 8


async def test_a_step_of_the_round_costs_the_same_however_many_revisions_there_are(queue: invocations.Queue) -> None:
    for number in range(4 * MANY):
        await queue.prepare(f"idle{number}@1")
    going_round = active.Round(queue)
    costs = []
    while not costs or not going_round.is_over:
        before = await looks(queue)
        await going_round.go_on()
        costs.append(await looks(queue) - before)
    assert sum(costs) >= 8 * MANY, "every revision is looked at"
    assert max(costs) <= 400


async def test_what_an_older_platform_enqueued_is_found_by_the_round(queue: invocations.Queue) -> None:
    for number in range(MANY):
        await queue.enqueue(of(f"f{number}"))
    await queue.link.call("DEL", queue.keys.active)
    assert await active.waiting(queue) == []
    assert len(await active.find_missing(queue)) == MANY
    assert len(await active.waiting(queue)) == MANY
    assert await active.find_missing(queue) == []


async def test_claims_of_a_node_that_nobody_knows_are_found_by_its_revision(queue: invocations.Queue) -> None:
    await queue.enqueue(of("f"))
    await queue.claim("woken", "f@1", 1)
    assert await leases.holders(queue) == ["woken"]


async def test_a_revision_that_is_forgotten_is_not_active(queue: invocations.Queue) -> None:
    await queue.enqueue(of("f"))
    (claim,) = await queue.claim("n", "f@1", 1)
    await queue.finish_claimed(claim, record(claim.invocation), node="n")
    assert await retiring.retire(queue, "f@1", counted_on=False)
    assert not await is_active(queue, "f@1")
