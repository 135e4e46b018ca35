"""What attempts from the queue leave behind, when Redis or its answer is away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from faas.cluster import leases
from faas.core import ids, model
from faas.core import settings as settings_module
from faas.queue import calls, invocations, replies
from faas.valkey import embedded
from runners import settle
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


def revision(**config: object) -> model.Revision:
    given = model.FunctionConfig(runtime="python3", handler="app.handler", **config)  # type: ignore[arg-type]
    return model.Revision(function="echo", number=3, artifact="0" * 64, config=given, created_at_ms=1)


def ended(invocation: model.Invocation, status: model.Status = model.Status.OK) -> slots.Ended:
    left = samples.record(invocation, status)
    return slots.Ended(invocation, left, model.Outcome(record=left))


def settler_of(queue: invocations.Queue) -> settle.Settler:
    return settle.Settler(queue, "n1", 1 << 30)


def ignore(_finished: invocations.Finished | None) -> None:
    pass


async def test_the_caller_of_a_queued_call_has_its_outcome_also_when_the_answer_to_its_finish_was_lost(
    queue: invocations.Queue,
) -> None:
    answers = await replies.Replies.open(queue.link.url, queue.keys.prefix)
    settler = settler_of(queue)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    caller = answers.expect(sent.id)
    await queue.enqueue(sent)
    (claim,) = await queue.claim("n1", "echo@3", 1)
    settler.settle(revision(), [(claim, ended(claim.invocation))], 0, ignore)
    queue.link.connection.close()  # what was sent leaves, what comes back is not heard
    await eventually(lambda: settler.left == 1)
    await queue.reopen()
    await eventually(lambda: _is_done(queue))
    settler.resend()
    async with asyncio.timeout(10):
        assert (await caller).record.invocation_id == sent.id
    await answers.close()


async def test_a_queued_call_that_another_node_took_over_is_answered_by_its_next_attempt_only(
    queue: invocations.Queue,
) -> None:
    answers = await replies.Replies.open(queue.link.url, queue.keys.prefix)
    settler = settler_of(queue)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    caller = answers.expect(sent.id)
    await queue.enqueue(sent)
    (claim,) = await queue.claim("n1", "echo@3", 1)
    assert await leases.take_over(queue, "n1") == 1
    settler.settle(revision(), [(claim, ended(claim.invocation))], 0, ignore)
    await eventually(lambda: settler.left == 0)
    (again,) = await queue.claim("n2", "echo@3", 1)
    assert not caller.done()
    other = settle.Settler(queue, "n2", 1 << 30)
    other.settle(revision(), [(again, ended(again.invocation))], 0, ignore)
    async with asyncio.timeout(10):
        assert (await caller).record.attempt == 2
    await answers.close()


async def test_what_ends_in_one_turn_is_settled_in_one_step_and_brings_the_next_along(queue: invocations.Queue) -> None:
    settler = settler_of(queue)
    for _ in range(5):
        await queue.enqueue(call(model.Mode.ASYNC))
    claimed = await queue.claim("n1", "echo@3", 3)
    answers: list[invocations.Finished | None] = []
    settler.settle(revision(), [(claim, ended(claim.invocation)) for claim in claimed], 2, answers.append)
    await eventually(lambda: bool(answers))
    (finished,) = answers
    assert finished is not None
    assert finished.settled == (True, True, True)
    assert (len(finished.claims), finished.left) == (2, 0)
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=5, done=3, running=2)


async def test_what_is_tried_again_and_what_is_settled_end_together(queue: invocations.Queue) -> None:
    settler = settler_of(queue)
    for _ in range(3):
        await queue.enqueue(call(model.Mode.ASYNC))
    one, two, three = await queue.claim("n1", "echo@3", 3)
    failed = ended(one.invocation, model.Status.ERROR)
    settler.settle(
        revision(), [(one, failed), (two, ended(two.invocation)), (three, ended(three.invocation))], 0, ignore
    )
    await eventually(lambda: settler.left == 0)
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=3, done=2, retrying=1)


async def test_what_redis_refused_is_settled_as_soon_as_it_takes_one(queue: invocations.Queue) -> None:
    settler = settler_of(queue)
    for _ in range(3):
        await queue.enqueue(call(model.Mode.ASYNC))
    claims = await queue.claim("n1", "echo@3", 3)
    await queue.link.call("CONFIG", "SET", "min-replicas-to-write", 1)  # refuses each write, as a full disk does
    for claim in claims:
        settler.settle(revision(), [(claim, ended(claim.invocation))], 0, ignore)
    await eventually(lambda: len(settler._kept) == 3)
    await queue.link.call("CONFIG", "SET", "min-replicas-to-write", 0)
    await eventually(lambda: settler.left == 0)
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=3, done=3)


async def test_a_caller_who_goes_while_the_call_is_being_accepted_is_dropped_too(queue: invocations.Queue) -> None:
    answers = await replies.Replies.open(queue.link.url, queue.keys.prefix)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    calling = asyncio.create_task(calls.outcome(queue, answers, sent, memory_limit_mb=64, within_ms=60_000))
    while not queue.link.connection._waiting:  # noqa: ASYNC110 - until the command has left; its answer has not come
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.wait({calling})
    await eventually(lambda: _is_done(queue))
    assert (await queue.counts())["echo@3"] == model.Counts(accepted=1, done=1)
    await answers.close()


async def test_a_caller_who_goes_when_redis_has_gone_leaves_no_complaint_in_the_log(
    queue: invocations.Queue, caplog: pytest.LogCaptureFixture
) -> None:
    answers = await replies.Replies.open(queue.link.url, queue.keys.prefix)
    sent = msgspec.structs.replace(call(model.Mode.SYNC), reply_to=answers.address)
    calling = asyncio.create_task(calls.outcome(queue, answers, sent, memory_limit_mb=64, within_ms=60_000))
    await eventually(lambda: _is_waiting(queue))
    queue.link.connection.close()
    answers._link.close()  # what fails its callers runs before they do
    await eventually(lambda: not answers._waiting)
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
    settler.settle(revision(), [(claim, ended(claim.invocation))], 0, lambda _: answered.set())
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
    settings: settings_module.Settings, open_folder: Path
) -> None:
    """The node was paused, and its answer lies in the socket: here reading it is what is paused."""
    quick = settings_module.changed(settings, engine="process", heartbeat_ms=100, lease_ms=500)
    bench = await node_bench.Bench.open(quick)
    try:
        revision = bench.function(RETRIES, "app.notes_its_attempt", max_concurrency=1)
        node = await bench.node()
        event = {"file": str(open_folder / "n")}
        await _send_the_last_attempt(bench, revision, event)
        await bench.records(1)
        lane = node._pool.lanes[revision.ref]
        await eventually(lambda: lane.is_parked)
        parked, task = lane.claims._parked, lane.claims._task
        assert parked is not None and task is not None
        transport = parked._connection._transport
        assert transport is not None
        transport.pause_reading()
        await _send_the_last_attempt(bench, revision, event)
        await bench.records(1)  # it was given back, and has run
        transport.resume_reading()
        await asyncio.wait({task})
        await eventually(lambda: not lane.busy)
        assert (open_folder / "n").read_text() == "3 3 "
    finally:
        await bench.close()


async def _send_the_last_attempt(bench: node_bench.Bench, revision: model.Revision, event: object) -> None:
    """One that succeeds, and is not tried again."""
    invocation = bench.invocation(revision, event, sync=False)
    await bench.queue.enqueue(msgspec.structs.replace(invocation, attempt=3))
