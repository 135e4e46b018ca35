"""What waits, for a slot or until it is due, is bounded in number and in bytes, by a counter that never drifts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import errors, ids, model
from faas.core.calls import unrun
from faas.queue import accepting, census, invocations, retrying, shipping, whereabouts
from faas.queue import bounds as limits
from faas.queue import keys as keyring
from tests.samples import record

REFS = (("a", 1), ("a", 2), ("b", 1))


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    bounds = limits.Bounds(sync=1_000, total=30, total_bytes=20_000)
    opened = await invocations.Queue.connect(redis_url, prefix, bounds)
    yield opened
    opened.close()


def an_invocation(size: int, mode: model.Mode = model.Mode.ASYNC, of: tuple[str, int] = ("a", 1)) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function=of[0],
        revision=of[1],
        trigger="invoke",
        mode=mode,
        event=b'"' + b"x" * size + b'"',
        accepted_at_ms=1,
    )


@pytest.mark.parametrize("mode", model.Mode)
async def test_what_would_be_over_the_bytes_of_all_queues_is_refused(
    queue: invocations.Queue, mode: model.Mode
) -> None:
    await queue.enqueue(an_invocation(15_000))
    with pytest.raises(errors.Throttled, match="bytes") as refused:
        await queue.enqueue(an_invocation(6_000, mode, ("b", 1)))
    assert refused.value.http_status == 429
    await queue.enqueue(an_invocation(3_000, mode, ("b", 1)))
    assert (await queue.counts())["b@1"].accepted == 1


async def test_what_would_be_over_the_number_of_all_queues_is_refused(queue: invocations.Queue) -> None:
    for place in range(15):  # of many functions: one alone has no more than a share
        await queue.enqueue(an_invocation(1, of=(f"a{place}", 1)))
        await queue.enqueue(an_invocation(1, model.Mode.SYNC, (f"b{place}", 1)))
    with pytest.raises(errors.Throttled, match="30 invocations wait or run"):
        await queue.enqueue(an_invocation(1, of=("a", 2)))
    (claim,) = await queue.claim("n", "a0@1", 1)
    await queue.finish_claimed(claim, record(claim.invocation), node="n")
    await queue.enqueue(an_invocation(1, of=("a", 2)))


async def test_what_waits_until_it_is_due_counts_like_what_waits_for_a_slot(queue: invocations.Queue) -> None:
    await queue.enqueue(an_invocation(7_000), delay_ms=3_600_000)
    await queue.enqueue(an_invocation(2_000))
    (claim,) = await queue.claim("n", "a@1", 1)
    again = msgspec.structs.replace(claim.invocation, attempt=2)
    await retrying.send(queue, claim, record(claim.invocation), again, 3_600_000)
    with pytest.raises(errors.Throttled, match="bytes"):
        await queue.enqueue(an_invocation(2_000))
    found = await whereabouts.find(queue, again.id)
    assert found is not None
    await whereabouts.cancel(queue, again, found.packed, unrun.cancelled(again, 1))
    await queue.enqueue(an_invocation(2_000))


async def test_what_waits_until_it_is_due_is_counted_when_the_third_format_is_brought_up(
    queue: invocations.Queue, redis_url: str
) -> None:
    for _ in range(3):
        await queue.enqueue(an_invocation(100), delay_ms=3_600_000)
    await queue.link.call("HSET", queue.keys.held, "entries", 0, "bytes", 0)
    await queue.link.call("SET", queue.keys.format, "3")
    later = await invocations.Queue.connect(redis_url, queue.keys.prefix)
    held = await census.held(later)
    later.close()
    assert held.is_right
    assert held.counted_entries == 3


async def test_a_redis_of_the_first_format_is_counted_when_it_is_first_used(
    queue: invocations.Queue, redis_url: str
) -> None:
    await queue.enqueue(an_invocation(100))
    await queue.enqueue(an_invocation(200, of=("b", 1)))
    await queue.link.call("DEL", queue.keys.held)
    await queue.link.call("SET", queue.keys.format, "1")
    assert not (await census.held(queue)).is_right
    later = await invocations.Queue.connect(redis_url, queue.keys.prefix)
    held = await census.held(later)
    later.close()
    assert held.is_right
    assert held.counted_entries == 2
    assert await queue.link.call("GET", queue.keys.format) == keyring.FORMAT.encode()


@pytest.mark.parametrize("seed", range(8))
async def test_the_counter_never_drifts_whatever_happens_in_whatever_order(queue: invocations.Queue, seed: int) -> None:
    chance = random.Random(seed)
    waiting: list[tuple[str, model.Invocation]] = []
    claims: list[invocations.Claim] = []
    for step in range(150):
        do = chance.choice(
            (
                "enqueue",
                "enqueue",
                "claim",
                "finish",
                "finish",
                "release",
                "retry",
                "due",
                "cancel",
                "abandon",
                "ship",
            )
        )
        if do == "enqueue":
            await _enqueue(queue, chance, waiting)
        elif do == "claim":
            claims += await queue.claim("n", "{}@{}".format(*chance.choice(REFS)), chance.randint(1, 4))
        elif do == "finish" and claims:
            # Now and then twice: the second time it is stale, and must count for nothing.
            one = chance.choice(claims)
            ended = await queue.finish_claimed(one, record(one.invocation), node="n", claim_next=chance.randint(0, 2))
            claims += ended.claims
        elif do == "release" and claims:
            one = chance.choice(claims)
            grown = an_invocation(chance.randint(0, 900), one.invocation.mode)
            again = msgspec.structs.replace(one.invocation, event=grown.event, attempt=2)
            await queue.release(one, again=chance.choice((again, None)))
        elif do == "retry" and claims:
            one = chance.choice(claims)
            grown = an_invocation(chance.randint(0, 900), one.invocation.mode)
            again = msgspec.structs.replace(one.invocation, event=grown.event, attempt=2)
            await retrying.send(queue, one, record(one.invocation), again, chance.choice((0, 3_600_000)))
        elif do == "due":
            await retrying.move_due(queue, chance.randint(1, 4))
        elif do == "cancel" and waiting:
            _, gone = chance.choice(waiting)
            found = await whereabouts.find(queue, gone.id)
            if found is not None and found.packed:
                await whereabouts.cancel(queue, gone, found.packed, unrun.cancelled(gone, 1))
        elif do == "abandon" and waiting:
            entry, gone = chance.choice(waiting)
            if entry:
                await accepting.abandon(queue, entry, gone, record(gone))
        elif do == "ship":
            left = msgspec.msgpack.encode([record(an_invocation(10, model.Mode.SYNC))])
            for _ in range(chance.choice((1, 2))):
                await shipping.send(queue, shipping.Shipment("n", step, step + 1, left, {"a@1": 1}))
        held = await census.held(queue)
        assert held.is_right, (seed, step, do, held)
        assert held.is_exact
        assert held.missing == ()
    assert claims, "nothing happened"


async def _enqueue(
    queue: invocations.Queue, chance: random.Random, waiting: list[tuple[str, model.Invocation]]
) -> None:
    one = an_invocation(chance.randint(0, 2_000), chance.choice(list(model.Mode)), chance.choice(REFS))
    try:
        entry = await queue.enqueue(one, delay_ms=one.mode is model.Mode.ASYNC and chance.choice((0, 0, 1, 3_600_000)))
    except errors.Throttled:
        return
    assert entry is not None
    waiting.append((entry, one))


async def test_many_at_once_pass_the_bound_by_nothing(queue: invocations.Queue) -> None:
    tried = await asyncio.gather(*(queue.enqueue(an_invocation(900)) for _ in range(60)), return_exceptions=True)
    assert sum(isinstance(one, errors.Throttled) for one in tried) >= 38
    held = await census.held(queue)
    assert held.is_right
    assert held.bytes <= 20_000
