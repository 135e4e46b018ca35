"""What attempts leave behind, when Redis or the answer is away, or the node was paused meanwhile."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import calls, embedded, invocations, leases, replies
from runners import naps, settling
from runners import slot as slots
from tests import node_bench, samples
from tests.eventually import eventually

RETRIES = Path(__file__).parents[1] / "functions" / "retries"


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[invocations.Queue]:
    """A queue on a server of the test's own, to misconfigure."""
    server = embedded.EmbeddedServer(tmp_path / "redis")
    opened = await invocations.Queue.connect(await server.start(), "t")
    yield opened
    opened.close()
    await server.stop()


def call(mode: model.Mode) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="echo", revision=3, trigger="http", mode=mode, event=b"1", accepted_at_ms=1
    )


def ended(invocation: model.Invocation, entry: str | None) -> slots.Ended:
    left = samples.record(invocation)
    return slots.Ended(invocation, entry, left, model.Outcome(record=left))


def settler_of(
    queue: invocations.Queue, answers: replies.Replies | None = None, clock: Callable[[], float] = time.monotonic
) -> settling.Settler:
    return settling.Settler(queue, "n1", answers, naps.Naps(8_000, clock), 1 << 30)


def ignore(_finished: invocations.Finished | None) -> None:
    pass


async def test_a_hand_off_whose_answer_was_lost_is_counted_once(queue: invocations.Queue) -> None:
    await queue.prepare("echo@3")
    settler = settler_of(queue)
    handed = call(model.Mode.SYNC)
    queue.hand_off("n1", handed)
    settler.settle(ended(handed, None), 0, ignore)
    queue.link.close()  # what was sent leaves, what comes back is not heard
    await eventually(lambda: settler.left == 1)
    await queue.reopen()
    await eventually(lambda: _is_done(queue))
    settler.resend()
    await eventually(lambda: settler.left == 0)
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=1, done=1)
    assert await queue.link.call("XLEN", queue.keys.records) == 1


async def test_a_hand_off_that_redis_refused_to_write_down_is_settled_at_once(queue: invocations.Queue) -> None:
    await queue.prepare("echo@3")
    settler = settler_of(queue)
    settler.settle(ended(call(model.Mode.SYNC), None), 0, ignore)
    await eventually(lambda: settler.left == 0)
    assert settler.redis_takes_all
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=1, done=1)


async def test_the_caller_of_a_queued_call_has_its_outcome_also_when_the_answer_to_its_finish_was_lost(
    queue: invocations.Queue,
) -> None:
    answers = await replies.Replies.open(queue._redis_url, queue.keys.prefix)
    settler = settler_of(queue, answers)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    caller = answers.expect(sent.id)
    await queue.enqueue(sent)
    (claim,) = await queue.claim("n1", "echo@3", 1)
    settler.settle(ended(claim.invocation, claim.entry), 0, ignore)
    queue.link.close()
    await eventually(lambda: settler.left == 1)
    await queue.reopen()
    await eventually(lambda: _is_done(queue))
    settler.resend()
    async with asyncio.timeout(10):
        assert (await caller).record.invocation_id == sent.id
    await answers.close()


BEFORE_A_NAP = -1


def handed_off(invocation: model.Invocation, caller: asyncio.Future[model.Outcome], naps: int = 0) -> slots.Ended:
    return msgspec.structs.replace(ended(invocation, None), naps=naps, caller=caller)


def slept_through(invocation: model.Invocation, caller: asyncio.Future[model.Outcome]) -> slots.Ended:
    return handed_off(invocation, caller, BEFORE_A_NAP)


async def test_who_was_handed_off_is_answered_without_waiting_for_redis(queue: invocations.Queue) -> None:
    settler = settler_of(queue)
    queue.link.close()
    caller: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
    settler.settle(handed_off(call(model.Mode.SYNC), caller), 0, ignore)
    assert not caller.done()
    await asyncio.sleep(0)
    assert caller.done()


async def test_who_was_handed_off_is_not_answered_when_the_node_stood_still_before_the_finish_left(
    queue: invocations.Queue,
) -> None:
    now_s = 0.0
    settler = settler_of(queue, clock=lambda: now_s)
    handed = call(model.Mode.SYNC)
    queue.hand_off("n1", handed)
    assert await leases.take_over(queue, "n1") == 1
    caller: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
    answered = asyncio.Event()
    settler.settle(handed_off(handed, caller), 0, lambda _: answered.set())
    now_s = 10.0
    await answered.wait()
    assert not caller.done()
    settler.resend()
    async with asyncio.timeout(10):
        with pytest.raises(errors.Unavailable, match="stood still"):
            await caller


async def test_who_was_handed_off_before_a_nap_is_answered_when_it_is_settled(queue: invocations.Queue) -> None:
    settler = settler_of(queue)
    handed = call(model.Mode.SYNC)
    queue.hand_off("n1", handed)
    caller: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
    settler.settle(slept_through(handed, caller), 0, ignore)
    assert not caller.done()
    async with asyncio.timeout(10):
        assert (await caller).record.invocation_id == handed.id


async def test_who_was_handed_off_before_a_nap_waits_while_redis_is_away(queue: invocations.Queue) -> None:
    settler = settler_of(queue)
    queue.link.close()
    caller: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
    answered = asyncio.Event()
    settler.settle(slept_through(call(model.Mode.SYNC), caller), 0, lambda _: answered.set())
    await answered.wait()
    assert not caller.done()
    await queue.reopen()
    settler.resend()
    async with asyncio.timeout(10):
        await caller


async def test_who_was_handed_off_before_a_nap_is_not_answered_when_another_node_called_it_lost(
    queue: invocations.Queue,
) -> None:
    settler = settler_of(queue)
    handed = call(model.Mode.SYNC)
    queue.hand_off("n1", handed)
    assert await leases.take_over(queue, "n1") == 1
    caller: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
    answered = asyncio.Event()
    settler.settle(slept_through(handed, caller), 0, lambda _: answered.set())
    await answered.wait()
    settler.resend()
    async with asyncio.timeout(10):
        with pytest.raises(errors.Unavailable, match="stood still"):
            await caller


async def test_a_queued_call_that_another_node_took_over_during_a_nap_is_not_answered_here(
    queue: invocations.Queue,
) -> None:
    answers = await replies.Replies.open(queue._redis_url, queue.keys.prefix)
    settler = settler_of(queue, answers)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    caller = answers.expect(sent.id)
    await queue.enqueue(sent)
    (claim,) = await queue.claim("n1", "echo@3", 1)
    assert await leases.take_over(queue, "n1") == 1
    await queue.link.call("CONFIG", "SET", "min-replicas-to-write", 1)  # refuses each write, as a full disk does
    answered = asyncio.Event()
    slept = msgspec.structs.replace(ended(claim.invocation, claim.entry), naps=BEFORE_A_NAP)
    settler.settle(slept, 0, lambda _: answered.set())
    await answered.wait()
    await queue.link.call("CONFIG", "SET", "min-replicas-to-write", 0)
    settler.resend()
    await eventually(lambda: settler.left == 0)
    assert not caller.done()
    await answers.close()


async def test_a_caller_who_goes_while_the_call_is_being_accepted_is_dropped_too(queue: invocations.Queue) -> None:
    answers = await replies.Replies.open(queue._redis_url, queue.keys.prefix)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    calling = asyncio.create_task(calls.outcome(queue, answers, sent, memory_limit_mb=64, within_ms=60_000))
    while not queue.link._waiting:  # noqa: ASYNC110 - until the command has left; its answer has not come
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.wait({calling})
    await eventually(lambda: _is_done(queue))
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=1, done=1)
    await answers.close()


async def test_a_caller_who_goes_when_redis_has_gone_leaves_no_complaint_in_the_log(
    queue: invocations.Queue, caplog: pytest.LogCaptureFixture
) -> None:
    answers = await replies.Replies.open(queue._redis_url, queue.keys.prefix)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    calling = asyncio.create_task(calls.outcome(queue, answers, sent, memory_limit_mb=64, within_ms=60_000))
    await eventually(lambda: _is_waiting(queue))
    queue.link.close()
    answers._link.close()  # what fails its callers runs before they do
    await answers.lost()
    calling.cancel()
    await asyncio.wait({calling})
    del calling
    gc.collect()
    assert "never retrieved" not in caplog.text
    await answers.close()


async def _is_waiting(queue: invocations.Queue) -> bool:
    return (await queue.counts()).get("echo@3", model.Counts()).waiting == 1


async def _is_done(queue: invocations.Queue) -> bool:
    return (await queue.counts()).get("echo@3", model.Counts()).done == 1


async def test_an_outcome_is_known_from_its_end_until_it_is_settled_also_when_it_is_refused(
    queue: invocations.Queue,
) -> None:
    """Else its node would take the claim for one that it never heard of, and let it run again."""
    settler = settler_of(queue)
    await queue.enqueue(call(model.Mode.ASYNC))
    (claim,) = await queue.claim("n1", "echo@3", 1)
    await queue.link.call("CONFIG", "SET", "min-replicas-to-write", 1)  # refuses each write, as a full disk does
    answered = asyncio.Event()
    settler.settle(ended(claim.invocation, claim.entry), 0, lambda _: answered.set())
    assert settler.entries == {claim.entry}
    await answered.wait()
    assert settler.entries == {claim.entry}
    await queue.link.call("CONFIG", "SET", "min-replicas-to-write", 0)
    settler.resend()
    assert settler.entries == {claim.entry}
    await eventually(lambda: settler.left == 0)
    assert settler.entries == set()
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=1, done=1)


async def test_a_claim_that_is_heard_of_after_it_was_given_back_is_not_run_too(
    settings: settings_module.Settings, tmp_path: Path
) -> None:
    """The node was paused, and its answer lies in the socket: here reading it is what is paused."""
    quick = msgspec.structs.replace(settings, engine="process", heartbeat_ms=100, lease_ms=500)
    bench = await node_bench.Bench.open(quick)
    try:
        revision = bench.function(RETRIES, "app.notes_its_attempt", max_concurrency=1)
        node = await bench.node()
        event = {"file": str(tmp_path / "n")}
        await _send_the_last_attempt(bench, revision, event)
        await bench.records(1)
        lane = node._pool.lanes[revision.ref]
        await eventually(lambda: lane.is_parked)
        parked, task = lane._parked, lane._park_task
        assert parked is not None and task is not None
        transport = parked._link._transport
        assert transport is not None
        transport.pause_reading()
        await _send_the_last_attempt(bench, revision, event)
        await bench.records(1)  # it was given back, and has run
        transport.resume_reading()
        await asyncio.wait({task})
        await eventually(lambda: not lane.busy)
        assert (tmp_path / "n").read_text() == "3 3 "
    finally:
        await bench.close()


async def _send_the_last_attempt(bench: node_bench.Bench, revision: model.Revision, event: object) -> None:
    """One that succeeds, and is not tried again."""
    invocation = bench.invocation(revision, event, sync=False)
    await bench.queue.enqueue(msgspec.structs.replace(invocation, attempt=3))
