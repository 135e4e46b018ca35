"""Finishes that leave in one step: each does what it would alone, also beside one that came too late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from faas.core import ids, model
from faas.queue import bounds, census, destined, invocations, outbox, replies, whereabouts
from tests import samples

REF = "echo@3"


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    assert not any(counts.drift for counts in (await opened.counts()).values())
    assert (await census.held(opened)).is_right
    opened.close()


async def claimed(
    queue: invocations.Queue, count: int, mode: model.Mode = model.Mode.ASYNC, reply_to: str | None = None
) -> list[invocations.Claim]:
    """Claims of so many new invocations, each of another size."""
    for number in range(count):
        event = b"1" * (number + 1)
        await queue.enqueue(
            model.Invocation(
                id=ids.new_id(), function="echo", revision=3, trigger="invoke", mode=mode, event=event,
                accepted_at_ms=1, reply_to=reply_to,
            )
        )  # fmt: skip
    return await queue.claim("n1", REF, count)


def finish(claim: invocations.Claim, *, dead: bool = False, logged: int = 0) -> invocations.Finish:
    record = samples.record(claim.invocation, dead=dead)
    if logged:
        record = msgspec.structs.replace(record, logs=(model.LogLine(1, "x" * logged),))
    reply = msgspec.msgpack.encode(model.Outcome(record=msgspec.structs.replace(record, logs=())))
    return invocations.Finish(claim.invocation, claim.entry, record, reply, size=claim.size)


async def send(
    queue: invocations.Queue, batch: Sequence[invocations.Finish], claim_next: int = 0
) -> invocations.Finished:
    return invocations.finished(await queue.send_finishes(REF, "n1", batch, claim_next), batch)


async def entries(queue: invocations.Queue) -> list[dict[bytes, bytes]]:
    found = await queue.link.call("XRANGE", queue.keys.records, "-", "+")
    return [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in found]


@pytest.mark.parametrize("count", [2, 15, 16, 300])
async def test_the_records_of_a_batch_are_one_entry_that_can_be_read(queue: invocations.Queue, count: int) -> None:
    batch = [finish(claim) for claim in await claimed(queue, count)]
    assert (await send(queue, batch)).settled == (True,) * count
    (entry,) = await entries(queue)
    assert msgspec.msgpack.decode(entry[b"b"], type=list[model.Record]) == [each.record for each in batch]
    assert (await queue.counts())[REF] == model.Counts(accepted=count, done=count)


async def test_of_a_batch_one_that_came_too_late_does_nothing_and_the_others_are_settled(
    queue: invocations.Queue,
) -> None:
    claims = await claimed(queue, 4)
    await queue.release(claims[1])
    await queue.finish_claimed(claims[2], samples.record(claims[2].invocation), node="n1")
    finished = await send(queue, [*map(finish, claims), finish(claims[0])])
    assert finished.settled == (True, False, False, True, False)
    assert (await queue.counts())[REF] == model.Counts(accepted=4, waiting=1, done=3)


async def test_a_batch_claims_for_all_the_slots_that_it_frees_and_says_what_is_left(queue: invocations.Queue) -> None:
    first, second = await claimed(queue, 2)
    waiting = await claimed(queue, 3)
    for claim in waiting:
        await queue.release(claim)
    finished = await send(queue, [finish(first), finish(second)], 2)
    assert [claim.invocation.id for claim in finished.claims] == [claim.invocation.id for claim in waiting[:2]]
    assert finished.left == 1
    last = await send(queue, [finish(claim) for claim in finished.claims], 2)
    assert (len(last.claims), last.left) == (1, 0)
    assert (await send(queue, [finish(claim) for claim in last.claims])).left == 0


async def test_callers_of_several_gateways_and_who_asks_later_hear_of_a_mixed_batch(
    queue: invocations.Queue, redis_url: str
) -> None:
    gateways = [await replies.Replies.open(redis_url, queue.keys.prefix) for _ in range(2)]
    claims = await claimed(queue, 1)
    for gateway in gateways:
        claims += await claimed(queue, 2, model.Mode.SYNC, gateway.address)
    waiting = {
        claim.invocation.id: gateway.expect(claim.invocation.id)
        for claim in claims
        for gateway in gateways
        if claim.invocation.reply_to == gateway.address
    }
    batch = [finish(claim) for claim in claims]
    assert all((await send(queue, batch)).settled)
    for each in batch:
        if each.invocation.id in waiting:
            assert (await waiting[each.invocation.id]).record == each.record
    found = await whereabouts.find(queue, claims[0].invocation.id)
    assert found is not None and found.outcome is not None and found.outcome.record == batch[0].record
    for gateway in gateways:
        await gateway.close()


async def test_a_dead_one_takes_its_letter_along_and_the_others_records_stay_together(queue: invocations.Queue) -> None:
    claims = await claimed(queue, 3)
    batch = [finish(claims[0]), finish(claims[1], dead=True), finish(claims[2])]
    await send(queue, batch)
    letter, together = sorted(await entries(queue), key=lambda entry: b"b" in entry)
    assert msgspec.msgpack.decode(letter[b"i"], type=model.Invocation) == claims[1].invocation
    assert msgspec.msgpack.decode(letter[b"r"], type=model.Record) == batch[1].record
    assert len(msgspec.msgpack.decode(together[b"b"], type=list[model.Record])) == 2
    assert (await queue.counts())[REF] == model.Counts(accepted=3, done=2, dead=1)


async def test_those_with_a_destination_are_in_its_outbox_with_their_invocation(queue: invocations.Queue) -> None:
    claims = await claimed(queue, 3)
    batch = [finish(claims[0]), finish(claims[1]), finish(claims[2], dead=True)]
    for place, condition in ((1, model.Condition.SUCCESS), (2, model.Condition.RETRIES_EXHAUSTED)):
        settled = destined.settled(batch[place].record, condition)
        batch[place] = msgspec.structs.replace(batch[place], settled=settled)
    await send(queue, batch)
    ways = {box.way: box for box in await outbox.lengths(queue)}
    assert set(ways) == {destined.SUCCESS, destined.FAILURE}
    for place, way in ((1, destined.SUCCESS), (2, destined.FAILURE)):
        (entry,) = await outbox.take(queue, ways[way], "s1", 9, 1_000)
        assert (entry.invocation, entry.settled) == (claims[place].invocation, batch[place].settled)


async def test_a_batch_of_many_bytes_leaves_in_parts_and_is_answered_as_one(queue: invocations.Queue) -> None:
    claims = await claimed(queue, 7)
    await queue.release(claims[5])
    batch = [finish(claim, logged=900_000) for claim in claims]
    finished = await send(queue, batch, 1)
    assert finished.settled == (True, True, True, True, True, False, True)
    assert [claim.invocation for claim in finished.claims] == [claims[5].invocation]
    assert len(await entries(queue)) == 4
    await send(queue, [finish(claim) for claim in finished.claims])


async def test_more_are_finished_at_once_than_one_step_may_have(queue: invocations.Queue) -> None:
    batch = [finish(claim) for claim in await claimed(queue, 1_203)]
    assert (await send(queue, batch)).settled == (True,) * 1_203
    assert sum(len(msgspec.msgpack.decode(entry[b"b"])) for entry in await entries(queue)) == 1_203


async def test_of_outcomes_past_what_may_be_kept_the_oldest_go_also_when_many_come_at_once(
    redis_url: str, prefix: str
) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix, keeping=bounds.KeptOutcomes(most=10))
    claims = await claimed(queue, 400)
    await send(queue, [finish(claim) for claim in claims])
    found = [await whereabouts.find(queue, claim.invocation.id) for claim in claims]
    assert [place for place, each in enumerate(found) if each is not None] == list(range(390, 400))
    assert await queue.link.call("LLEN", queue.keys.kept) == 10
    queue.close()
