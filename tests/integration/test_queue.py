"""The moves of an invocation, on a real server: accepted = waiting + running + done + dead after every step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.cluster import capacity, leases
from faas.core import errors, ids, model
from faas.core.calls import retry
from faas.queue import bounds, guards, invocations, records, replies, whereabouts
from tests.eventually import eventually
from tests.samples import record


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix, bounds.Bounds(sync=3))
    yield opened
    drifts = {ref: counts.drift for ref, counts in (await opened.counts()).items()}
    assert not any(drifts.values()), drifts
    opened.close()


def invocation(
    mode: model.Mode = model.Mode.ASYNC, reply_to: str | None = None, event: bytes = b'{"n": 1}'
) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="echo",
        revision=3,
        trigger="invoke",
        mode=mode,
        event=event,
        accepted_at_ms=1,
        reply_to=reply_to,
    )


async def counts(queue: invocations.Queue) -> model.Counts:
    return (await queue.counts())["echo@3"]


async def test_an_invocation_goes_from_waiting_to_running_to_done(queue: invocations.Queue) -> None:
    sent = invocation()
    assert await queue.enqueue(sent)
    assert await counts(queue) == model.Counts(accepted=1, waiting=1)
    (claim,) = await queue.claim("n1", "echo@3", 5)
    assert claim.invocation == sent
    assert await counts(queue) == model.Counts(accepted=1, running=1)
    finished = await queue.finish_claimed(claim, record(sent), node="n1")
    assert (finished.settled, finished.left, finished.claims) == ((True,), 0, ())
    assert await counts(queue) == model.Counts(accepted=1, done=1)


async def test_a_second_finish_of_the_same_claim_changes_nothing(queue: invocations.Queue) -> None:
    await queue.enqueue(invocation())
    (claim,) = await queue.claim("n1", "echo@3", 1)
    assert (await queue.finish_claimed(claim, record(claim.invocation), node="n1")).settled == (True,)
    assert (await queue.finish_claimed(claim, record(claim.invocation), node="n1")).settled == (False,)
    assert await queue.link.call("XLEN", queue.keys.records) == 1


async def test_a_released_claim_waits_again_and_its_old_owner_cannot_finish_it(queue: invocations.Queue) -> None:
    await queue.enqueue(invocation())
    (stale,) = await queue.claim("n1", "echo@3", 1)
    again = msgspec.structs.replace(stale.invocation, attempt=2)
    assert await queue.release(stale, again=again, record=record(stale.invocation, model.Status.LOST))
    assert not await queue.release(stale)
    (fresh,) = await queue.claim("n2", "echo@3", 1)
    assert fresh.invocation.attempt == 2
    assert (await queue.finish_claimed(stale, record(stale.invocation), node="n1")).settled == (False,)
    assert await counts(queue) == model.Counts(accepted=1, running=1)
    assert (await queue.finish_claimed(fresh, record(fresh.invocation, dead=True), node="n2")).settled == (True,)
    assert await counts(queue) == model.Counts(accepted=1, dead=1)


async def test_sync_calls_are_claimed_before_async_ones_that_waited_longer(queue: invocations.Queue) -> None:
    await queue.enqueue(invocation(model.Mode.ASYNC))
    await queue.enqueue(invocation(model.Mode.SYNC))
    claims = await queue.claim("n1", "echo@3", 2)
    assert [claim.invocation.mode for claim in claims] == [model.Mode.SYNC, model.Mode.ASYNC]


async def test_a_finish_claims_the_next_one_in_the_same_step(queue: invocations.Queue) -> None:
    first, second = invocation(), invocation()
    await queue.enqueue(first)
    await queue.enqueue(second)
    (claim,) = await queue.claim("n1", "echo@3", 1)
    finished = await queue.finish_claimed(claim, record(first), node="n1", claim_next=1)
    assert [claim.invocation.id for claim in finished.claims] == [second.id]
    assert finished.left == 0


async def test_past_the_bound_a_call_is_refused_and_not_counted(queue: invocations.Queue) -> None:
    for _ in range(3):
        await queue.enqueue(invocation(model.Mode.SYNC))
    with pytest.raises(errors.Throttled, match="3 sync invocations of echo@3 are waiting"):
        await queue.enqueue(invocation(model.Mode.SYNC))
    assert await counts(queue) == model.Counts(accepted=3, waiting=3)


async def test_a_guarded_version_is_enqueued_once_until_it_changes(queue: invocations.Queue) -> None:
    first = guards.Guard(key="objects:photos", field="a.jpg", value="v1")
    assert await queue.enqueue(invocation(), first)
    assert not await queue.enqueue(invocation(), first)
    assert await queue.enqueue(invocation(), msgspec.structs.replace(first, value="v2"))
    assert await guards.items(queue, "objects:photos") == {"a.jpg": "v2"}
    assert (await counts(queue)).accepted == 2


async def test_a_due_time_is_enqueued_once_and_never_after_a_later_one(queue: invocations.Queue) -> None:
    due = guards.Guard(key="timers", field="echo/0", value="1000", monotonic=True)
    assert await queue.enqueue(invocation(), due)
    assert not await queue.enqueue(invocation(), due)
    assert not await queue.enqueue(invocation(), msgspec.structs.replace(due, value="999"))
    assert await queue.enqueue(invocation(), msgspec.structs.replace(due, value="1001"))


async def test_a_burst_leaves_one_demand_signal(queue: invocations.Queue) -> None:
    for _ in range(20):
        await queue.enqueue(invocation())
    assert await queue.link.call("XLEN", queue.keys.demand) == 1
    assert await capacity.look(queue, "n1", "echo@3") == capacity.Need(0, 20, 0)


async def test_the_caller_hears_the_outcome_on_its_reply_stream(queue: invocations.Queue, redis_url: str) -> None:
    heard = await replies.Replies.open(redis_url, queue.keys.prefix)
    call = invocation(model.Mode.SYNC, reply_to=heard.address)
    future = heard.expect(call.id)
    await queue.enqueue(call)
    (claim,) = await queue.claim("n1", "echo@3", 1)
    outcome = model.Outcome(record=record(call), body=b'{"ok":true}')
    await queue.finish_claimed(claim, outcome.record, node="n1", reply=msgspec.msgpack.encode(outcome))
    assert await future == outcome
    await heard.close()


async def test_a_reply_that_cannot_be_read_leaves_those_behind_it_and_those_who_wait_for_them(
    queue: invocations.Queue, redis_url: str
) -> None:
    heard = await replies.Replies.open(redis_url, queue.keys.prefix)
    call = invocation(model.Mode.SYNC, reply_to=heard.address)
    future = heard.expect(call.id)
    stream = queue.keys.reply(heard.address)
    for fields in (("i", call.id, "o", b"\xff"), ("i", b"\xff", "o", b""), ("i", call.id), ("x", "y")):
        await queue.link.call("XADD", stream, "*", *fields)
    outcome = model.Outcome(record=record(call), body=b"1")
    await queue.link.call("XADD", stream, "*", "i", call.id, "o", msgspec.msgpack.encode(outcome))
    assert await asyncio.wait_for(future, 20) == outcome
    await heard.close()


async def test_of_nodes_that_find_work_and_no_slot_one_makes_the_first(queue: invocations.Queue) -> None:
    for node in ("n1", "n2"):
        await queue.link.call("SADD", queue.keys.nodes, node)
    await queue.enqueue(invocation())
    assert not (await capacity.look(queue, "n1", "echo@3")).is_anothers
    assert (await capacity.look(queue, "n2", "echo@3")).is_anothers
    assert not (await capacity.look(queue, "n1", "echo@3")).is_anothers, "it is still the one"
    capacity.publish(queue, "n1", "echo@3", 1)
    seen = await capacity.look(queue, "n2", "echo@3")
    assert (seen.slots, seen.is_anothers) == (1, False), "whoever finds that one is not enough may make more"
    assert 0 < await queue.link.call("PTTL", queue.keys.first("echo@3")) <= 1_000


async def test_records_come_again_until_they_are_done(queue: invocations.Queue, redis_url: str) -> None:
    await queue.enqueue(invocation())
    (claim,) = await queue.claim("n1", "echo@3", 1)
    await queue.finish_claimed(claim, record(claim.invocation), node="n1")
    first = await records.RecordsReader.open(redis_url, queue.keys.prefix, "r1")
    got = await first.read(10, 1000)
    assert got.records == [record(claim.invocation)]
    await first.close()
    second = await records.RecordsReader.open(redis_url, queue.keys.prefix, "r1")
    again = await second.read(10, 1)
    assert (again.entries, again.records) == (got.entries, got.records)
    await second.done(again)
    assert (await second.read(10, 1)).records == []
    assert await queue.link.call("XLEN", queue.keys.records) == 0
    await second.close()


async def test_an_unreadable_record_is_set_aside_and_those_behind_it_are_read(
    queue: invocations.Queue, redis_url: str
) -> None:
    await queue.link.call("XADD", queue.keys.records, "*", "r", b"\xc1 no msgpack")
    await queue.enqueue(invocation())
    (claim,) = await queue.claim("n1", "echo@3", 1)
    await queue.finish_claimed(claim, record(claim.invocation), node="n1")
    reader = await records.RecordsReader.open(redis_url, queue.keys.prefix, "r1")
    while not (got := await reader.read(10, 1)).records:
        assert got.more, "what was set aside is not the last"
    assert got.records == [record(claim.invocation)]
    await reader.done(got)
    assert await queue.link.call("XLEN", queue.keys.records) == 0
    ((_, fields),) = await queue.link.call("XRANGE", queue.keys.unreadable, "-", "+")
    assert b"\xc1 no msgpack" in fields
    await reader.close()


async def test_a_redis_of_a_later_format_is_refused(queue: invocations.Queue, redis_url: str) -> None:
    await queue.link.call("SET", queue.keys.format, "99")
    with pytest.raises(errors.Conflict, match="format 99"):
        await invocations.Queue.connect(redis_url, queue.keys.prefix)


async def test_a_redis_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(errors.Unavailable, match=r"Redis at /nowhere/redis\.sock does not answer"):
        await invocations.Queue.connect("unix:///nowhere/redis.sock", "t")


async def test_what_a_dead_node_had_claimed_waits_again_and_its_attempt_is_lost(
    queue: invocations.Queue, redis_url: str
) -> None:
    await queue.link.call("SADD", queue.keys.nodes, "dead")
    await queue.enqueue(invocation())
    (stale,) = await queue.claim("dead", "echo@3", 1)
    assert await leases.dead_nodes(queue) == ["dead"]
    assert await leases.take_over(queue, "dead") == 1
    assert await leases.dead_nodes(queue) == []
    (fresh,) = await queue.claim("n2", "echo@3", 1)
    assert (fresh.invocation.id, fresh.invocation.attempt) == (stale.invocation.id, 2)
    assert (await queue.finish_claimed(stale, record(stale.invocation), node="dead")).settled == (False,)
    reader = await records.RecordsReader.open(redis_url, queue.keys.prefix, "r1")
    (lost,) = (await reader.read(10, 1)).records
    assert (lost.status, lost.attempt, lost.final, lost.billed_ms) == (model.Status.LOST, 1, False, 0)
    await reader.close()


async def test_an_invocation_that_keeps_losing_its_nodes_is_settled_as_dead(queue: invocations.Queue) -> None:
    await queue.enqueue(invocation())
    for number in range(retry.MOST_LOST):
        node = f"dead{number}"
        await queue.link.call("SADD", queue.keys.nodes, node)
        assert len(await queue.claim(node, "echo@3", 1)) == 1
        await leases.take_over(queue, node)
    assert await counts(queue) == model.Counts(accepted=1, dead=1)


GARBAGE = [
    ("i", b"\xff"),
    ("i", b""),
    ("i", b"\x91" * 10_000),
    ("i", msgspec.msgpack.encode({"id": 7})),
    ("i", msgspec.msgpack.encode(invocation()).replace(b"echo", b"ech\xff")),
    ("other", b"1"),
]


async def _put(queue: invocations.Queue, field: str, value: bytes) -> None:
    """An entry that somebody else put into a queue of ours."""
    await queue.link.call("XADD", queue.keys.queue("echo@3", model.Mode.SYNC), "*", field, value)


@pytest.mark.parametrize(("field", "value"), GARBAGE, ids=map(str, range(len(GARBAGE))))
async def test_an_entry_that_is_no_invocation_stops_no_other_and_is_set_aside_with_its_claim(
    queue: invocations.Queue, field: str, value: bytes
) -> None:
    await queue.enqueue(invocation())
    await _put(queue, field, value)
    await queue.enqueue(invocation())
    claims = await queue.claim("n1", "echo@3", 5)
    assert len(claims) == 2
    for claim in claims:
        await queue.finish_claimed(claim, record(claim.invocation), node="n1")
    assert await leases.claims_since(queue, "n1", "echo@3", 0) == []
    ((_, fields),) = await queue.link.call("XRANGE", queue.keys.unreadable, "-", "+")
    assert fields[:2] == [field.encode(), value]
    assert await counts(queue) == model.Counts(accepted=2, done=2)


async def test_a_dead_node_that_had_claimed_what_is_no_invocation_is_taken_over_all_the_same(
    queue: invocations.Queue,
) -> None:
    await queue.link.call("SADD", queue.keys.nodes, "dead")
    await queue.enqueue(invocation())
    await _put(queue, "i", b"\xff")
    await _put(queue, "j", b"")
    await queue.enqueue(invocation())
    await queue.claim("dead", "echo@3", 9)
    async with asyncio.timeout(20):
        await leases.take_over(queue, "dead")
    assert await leases.dead_nodes(queue) == []
    assert len(await queue.claim("n2", "echo@3", 9)) == 2
    assert await queue.link.call("XLEN", queue.keys.unreadable) == 2


async def test_a_node_that_renews_its_lease_is_left_alone(queue: invocations.Queue) -> None:
    await queue.link.call("SADD", queue.keys.nodes, "alive")
    await queue.link.call("SET", queue.keys.node("alive"), "{}", "PX", 60_000)
    assert await leases.dead_nodes(queue) == []


async def test_what_a_paused_node_claims_after_it_was_taken_over_is_taken_over_too(queue: invocations.Queue) -> None:
    await queue.link.call("SADD", queue.keys.nodes, "paused")
    await queue.prepare("echo@3")
    assert await leases.take_over(queue, "paused") == 0
    await queue.enqueue(invocation())
    assert len(await queue.claim("paused", "echo@3", 1)) == 1  # by the read that it had left parked
    assert await leases.dead_nodes(queue) == ["paused"]
    assert await leases.take_over(queue, "paused") == 1
    assert (await counts(queue)).waiting == 1


async def test_a_node_that_wakes_while_it_is_taken_over_stays_known(queue: invocations.Queue) -> None:
    await queue.link.call("SADD", queue.keys.nodes, "woken")
    await queue.link.call("SET", queue.keys.node("woken"), "{}", "PX", 60_000)
    await leases.take_over(queue, "woken")
    await queue.link.call("DEL", queue.keys.node("woken"))
    assert await leases.dead_nodes(queue) == ["woken"]


async def test_who_waits_for_a_call_that_keeps_losing_its_nodes_hears_so(
    queue: invocations.Queue, redis_url: str
) -> None:
    heard = await replies.Replies.open(redis_url, queue.keys.prefix)
    call = invocation(model.Mode.SYNC, reply_to=heard.address)
    waiting = heard.expect(call.id)
    await queue.enqueue(call)
    for number in range(retry.MOST_LOST):
        assert not waiting.done()
        assert len(await queue.claim(f"dead{number}", "echo@3", 1)) == 1
        await leases.take_over(queue, f"dead{number}")
    async with asyncio.timeout(10):
        outcome = await waiting
    assert (outcome.record.status, outcome.record.attempt) == (model.Status.LOST, retry.MOST_LOST)
    assert await counts(queue) == model.Counts(accepted=1, done=1)
    await heard.close()


async def test_who_asks_for_an_async_call_that_keeps_losing_its_nodes_finds_why(queue: invocations.Queue) -> None:
    sent = invocation()
    await queue.enqueue(sent)
    for number in range(retry.MOST_LOST):
        assert len(await queue.claim(f"dead{number}", "echo@3", 1)) == 1
        await leases.take_over(queue, f"dead{number}")
    found = await whereabouts.find(queue, sent.id)
    assert found is not None and found.outcome is not None
    assert found.outcome.record.status is model.Status.LOST


async def test_a_reply_stream_that_redis_refuses_to_read_leaves_no_connection_open(
    queue: invocations.Queue, redis_url: str
) -> None:
    """As it does while it loads its file, on connections that it accepts."""
    answers = await replies.Replies.open(redis_url, queue.keys.prefix)
    before = await _connections(queue)
    call = invocation(model.Mode.SYNC, reply_to=answers.address)
    refused = answers.expect(call.id)
    await queue.link.call("SET", queue.keys.reply(answers.address), "not a stream")
    for _ in range(5):
        with pytest.raises(errors.Unavailable):
            await asyncio.wait_for(refused, 30)
        refused = answers.expect(call.id)
    assert await _connections(queue) <= before
    await queue.link.call("DEL", queue.keys.reply(answers.address))
    outcome = model.Outcome(record=record(call))

    async def is_heard() -> bool:
        expected = answers.expect(call.id)
        packed = msgspec.msgpack.encode(outcome)
        await queue.link.call("XADD", queue.keys.reply(answers.address), "*", "i", call.id, "o", packed)
        try:
            return await asyncio.wait_for(expected, 5) == outcome
        except errors.Unavailable:  # one more refusal was under way
            return False

    await eventually(is_heard)
    await answers.close()


async def _connections(queue: invocations.Queue) -> int:
    return len((await queue.link.call("CLIENT", "LIST")).splitlines())
