"""Idempotency keys: on the control API with a worker that the test is, and in the queue alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas.api import calls as api_calls
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import accepting, bounds, calls, idempotency, invocations, replies
from faas.valkey import embedded
from tests import samples, served_api
from tests.eventually import eventually


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[served_api.ControlApi]:
    async with served_api.serving(settings) as served:
        served.deploy()
        yield served


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix, bounds=bounds.Bounds(asynchronous=1))
    yield opened
    assert not any(counts.drift for counts in (await opened.counts()).values())
    opened.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedServer]:
    """A server of the test's own."""
    started = embedded.EmbeddedServer(tmp_path / "redis")
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def own(server: embedded.EmbeddedServer) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(server.url, "faas")
    yield opened
    opened.close()


@contextlib.contextmanager
def in_vain() -> Iterator[None]:
    """Nobody waits long for what will not come while this lasts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(calls, "ACCEPTED_WITHIN_S", 0.3)
        yield


@contextlib.contextmanager
def standing_still(server: embedded.EmbeddedServer) -> Iterator[None]:
    os.kill(server.pid or 0, signal.SIGSTOP)
    try:
        with in_vain():
            yield
    finally:
        os.kill(server.pid or 0, signal.SIGCONT)


async def call(api: served_api.ControlApi, event: str, mode: str = "sync", key: str = "k") -> tuple[int, Any]:
    headers = {"Faas-Invocation-Type": mode, "Idempotency-Key": key}
    return await api.call("POST", "/api/v1/functions/hello/invocations", data=event, headers=headers)


async def test_the_same_key_and_event_run_once_and_give_one_answer(api: served_api.ControlApi) -> None:
    first, second = asyncio.create_task(call(api, "1")), asyncio.create_task(call(api, "1"))
    ran = await api.work("hello@1", "done")
    answers = [await first, await second, await call(api, "1")]
    assert {(status, value["invocation_id"], value["result"]) for status, value in answers} == {(200, ran.id, "done")}
    async with api.queue() as queue:
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=1, done=1)


async def test_the_same_key_with_another_event_is_refused(api: served_api.ControlApi) -> None:
    assert (await call(api, "1", "async"))[0] == 202
    status, value = await call(api, "2", "async")
    assert (status, value["error"]["code"]) == (422, "idempotency_key_reused")
    assert (await call(api, "1", "async", key=""))[0] == 400


def test_a_key_of_the_gateways_is_none_of_the_control_apis() -> None:
    request = (b"sync", b"1", b"")
    names = {idempotency.asked("k", "hello", way, request, 1).name for way in (b"gateway\0", b"control API", b"")}
    assert len(names) == 3


async def test_async_calls_with_one_key_get_one_id(api: served_api.ControlApi) -> None:
    answers = await asyncio.gather(*(call(api, "1", "async") for _ in range(10)))
    assert len({value["invocation_id"] for _, value in answers}) == 1
    async with api.queue() as queue:
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=1, waiting=1)


def sent(mode: model.Mode = model.Mode.ASYNC) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="f", revision=1, trigger="invoke", mode=mode, event=b"1", accepted_at_ms=1
    )


def ended(invocation: model.Invocation) -> model.Outcome:
    return model.Outcome(record=samples.record(invocation))


async def answer(queue: invocations.Queue, asked: idempotency.KeyedCall, one: model.Invocation) -> model.Outcome:
    """The answer to a call that ends at once, if it runs."""

    async def run() -> model.Outcome:
        return ended(one)

    return await idempotency.answer(queue, asked, one.id, run, within_ms=60_000)


async def test_a_key_is_free_again_when_its_call_was_refused(queue: invocations.Queue) -> None:
    asked = idempotency.asked("k", "f", b"", (b"1",), 60_000)
    await queue.enqueue(sent())
    with pytest.raises(errors.Throttled):
        await idempotency.accept(queue, asked, sent())
    await queue.claim("n1", "f@1", 1)
    accepted = sent()
    assert await idempotency.accept(queue, asked, accepted) == accepted.id


async def test_what_the_platform_lost_may_be_tried_again_with_its_key(queue: invocations.Queue) -> None:
    asked = idempotency.asked("k", "f", b"", (b"1",), 60_000)

    async def status_after(status: model.Status) -> model.Status:
        one = sent(model.Mode.SYNC)

        async def run() -> model.Outcome:
            return model.Outcome(record=samples.record(one, status))

        return (await idempotency.answer(queue, asked, one.id, run, within_ms=5_000)).record.status

    assert await status_after(model.Status.LOST) is model.Status.LOST
    assert await status_after(model.Status.ERROR) is model.Status.ERROR
    assert await status_after(model.Status.OK) is model.Status.ERROR, "the answer is the first one's"


async def test_an_answer_is_kept_for_a_caller_who_went_before_it_came(queue: invocations.Queue) -> None:
    asked, one, go = idempotency.asked("k", "f", b"", (b"1",), 60_000), sent(model.Mode.SYNC), asyncio.Event()

    async def run() -> model.Outcome:
        await go.wait()
        return model.Outcome(record=samples.record(one))

    first = asyncio.create_task(idempotency.answer(queue, asked, one.id, run, within_ms=5_000))
    key = queue.keys.once(asked.name)
    await eventually(lambda: queue.link.call("EXISTS", key))
    first.cancel()
    go.set()
    again = await idempotency.answer(queue, asked, ids.new_id(), run, within_ms=5_000)
    assert again.record.invocation_id == one.id


async def test_a_claim_that_lapsed_accepts_nothing(queue: invocations.Queue) -> None:
    with pytest.raises(errors.Unavailable):
        await queue.enqueue(sent(), once=accepting.Once("gone", 60_000))
    assert await queue.counts() == {}


async def test_while_redis_stands_still_callers_are_told_so_and_one_whose_call_has_run_has_its_answer(
    server: embedded.EmbeddedServer, own: invocations.Queue
) -> None:
    asked = [idempotency.asked(key, "f", b"", (b"1",), 60_000) for key in "abc"]
    one, again = sent(model.Mode.SYNC), sent(model.Mode.SYNC)
    with contextlib.ExitStack() as stopped:

        async def run() -> model.Outcome:
            stopped.enter_context(standing_still(server))
            return ended(one)

        assert await idempotency.answer(own, asked[0], one.id, run, within_ms=60_000) == ended(one)
        with pytest.raises(errors.Unavailable, match="Redis has not answered"):
            await idempotency.accept(own, asked[1], sent())
        with pytest.raises(errors.Unavailable, match="Redis has not answered"):
            await idempotency.answer(own, asked[2], ids.new_id(), run, within_ms=60_000)
    assert await answer(own, asked[0], again) == ended(one), "the answer was kept as soon as Redis went on"
    accepted = sent()
    assert await idempotency.accept(own, asked[1], accepted) == accepted.id, "the key was let go of"
    assert await answer(own, asked[2], again) == ended(again), "the key was let go of"


async def test_a_caller_who_goes_before_its_key_is_claimed_lets_go_of_it(
    server: embedded.EmbeddedServer, own: invocations.Queue
) -> None:
    asked, again = idempotency.asked("k", "f", b"", (b"1",), 60_000), sent(model.Mode.SYNC)
    with standing_still(server):
        gone = asyncio.create_task(answer(own, asked, sent(model.Mode.SYNC)))
        await eventually(lambda: own.link.silent_ms())
        gone.cancel()
        await asyncio.wait({gone})
    assert await answer(own, asked, again) == ended(again)


async def test_an_answer_is_kept_once_a_killed_redis_is_back(
    server: embedded.EmbeddedServer, own: invocations.Queue
) -> None:
    asked, one = idempotency.asked("k", "f", b"", (b"1",), 60_000), sent(model.Mode.SYNC)

    async def run() -> model.Outcome:
        os.kill(server.pid or 0, signal.SIGKILL)
        await server.exited()
        await own.link.lost
        away.enter_context(in_vain())
        return ended(one)

    with contextlib.ExitStack() as away:
        assert await idempotency.answer(own, asked, one.id, run, within_ms=60_000) == ended(one)
    await server.start()
    await own.reopen()
    assert await answer(own, asked, sent(model.Mode.SYNC)) == ended(one)


async def test_an_answer_is_kept_once_redis_writes_again(own: invocations.Queue) -> None:
    asked, one = idempotency.asked("k", "f", b"", (b"1",), 60_000), sent(model.Mode.SYNC)

    async def run() -> model.Outcome:
        await own.link.call("CONFIG", "SET", "min-replicas-to-write", "1")  # it refuses as with a full disk
        refusing.enter_context(in_vain())
        return ended(one)

    with contextlib.ExitStack() as refusing:
        assert await idempotency.answer(own, asked, one.id, run, within_ms=60_000) == ended(one)
    assert not await own.link.call("EXISTS", own.keys.answers)
    await own.link.call("CONFIG", "SET", "min-replicas-to-write", "0")
    assert await answer(own, asked, sent(model.Mode.SYNC)) == ended(one)


async def test_the_control_api_keeps_an_answer_when_its_link_was_lost(settings: settings_module.Settings) -> None:
    links = await api_calls.Calls.open(settings.redis, settings.queues, settings.results)
    asked, one = idempotency.asked("k", "f", b"", (b"1",), 60_000), sent(model.Mode.SYNC)
    queue = await links.queue()

    async def run() -> model.Outcome:
        queue.close()
        return ended(one)

    first = asyncio.create_task(idempotency.answer(queue, asked, one.id, run, within_ms=60_000))
    await eventually(lambda: not queue.link.is_open)
    assert await answer(await links.queue(), asked, sent(model.Mode.SYNC)) == await first
    await links.close()


async def test_an_answer_that_is_told_twice_is_kept_once(queue: invocations.Queue) -> None:
    asked, one = idempotency.asked("k", "f", b"", (b"1",), 60_000), sent(model.Mode.SYNC)
    first = await answer(queue, asked, one)
    bytes_of_one = await queue.link.call("GET", f"{queue.keys.answers}:bytes")
    for told in (b"another", b""):
        keys = (queue.keys.once(asked.name), queue.keys.answers)
        assert await queue.run("answered", keys, one.id, told, 60_000) == 1
    assert await queue.link.call("GET", f"{queue.keys.answers}:bytes") == bytes_of_one
    assert await queue.link.call("LLEN", queue.keys.answers) == 1
    assert await answer(queue, asked, sent(model.Mode.SYNC)) == first


@pytest.mark.parametrize("is_in_time", [True, False])
async def test_a_key_is_not_free_while_a_node_runs_its_call(
    redis_url: str, queue: invocations.Queue, is_in_time: bool
) -> None:
    asked = idempotency.asked("k", "f", b"", (b"1",), 60_000)
    answers = await replies.Replies.open(redis_url, queue.keys.prefix)
    one = msgspec.structs.replace(sent(model.Mode.SYNC), reply_to=answers.address)

    async def run() -> model.Outcome:
        outcome = calls.outcome(queue, answers, one, memory_limit_mb=64, within_ms=60_000)
        calling = asyncio.create_task(outcome)
        await eventually(lambda: queue.claim("n1", one.ref, 1))
        if is_in_time:
            await answers.close()  # the way back breaks
            return await calling
        calling.cancel()
        await asyncio.wait({calling})
        raise errors.TimedOut("nothing ran it in time")

    with pytest.raises(errors.Unavailable if is_in_time else errors.TimedOut):
        await idempotency.answer(queue, asked, one.id, run, within_ms=60_000)
    with pytest.raises(errors.TimedOut, match="has not ended in time"):
        await idempotency.answer(queue, asked, ids.new_id(), run, within_ms=100)
    assert (await queue.counts())[one.ref] == model.Counts(accepted=1, running=1)
    await answers.close()


async def test_a_key_is_free_again_when_nothing_ran_its_call_in_time(redis_url: str, queue: invocations.Queue) -> None:
    asked = idempotency.asked("k", "f", b"", (b"1",), 60_000)
    answers = await replies.Replies.open(redis_url, queue.keys.prefix)
    one = msgspec.structs.replace(sent(model.Mode.SYNC), reply_to=answers.address)
    with pytest.raises(errors.NeverRan, match="nothing ran"):
        waits = calls.outcome(queue, answers, one, memory_limit_mb=64, within_ms=100)
        await idempotency.answer(queue, asked, one.id, lambda: waits, within_ms=60_000)
    two = sent(model.Mode.SYNC)
    assert (await answer(queue, asked, two)).record.invocation_id == two.id
    await answers.close()


async def test_a_call_that_began_late_is_not_said_to_have_never_run(redis_url: str, queue: invocations.Queue) -> None:
    answers = await replies.Replies.open(redis_url, queue.keys.prefix)
    one = msgspec.structs.replace(sent(model.Mode.SYNC), reply_to=answers.address)
    calling = asyncio.create_task(calls.outcome(queue, answers, one, memory_limit_mb=64, within_ms=500))
    await eventually(lambda: queue.claim("n1", one.ref, 1))
    with pytest.raises(errors.TimedOut, match="has not ended in time") as told:
        await calling
    assert not isinstance(told.value, errors.NeverRan)
    assert (await queue.counts())[one.ref] == model.Counts(accepted=1, running=1)
    await answers.close()


async def test_the_bytes_of_a_key_that_is_used_again_after_its_time_are_counted_once(queue: invocations.Queue) -> None:
    asks = [idempotency.asked(key, "f", b"", (b"1",), 60_000) for key in "abc"]

    async def accept(asked: idempotency.KeyedCall) -> None:
        await idempotency.accept(queue, asked, sent())
        await queue.claim("n1", "f@1", 1)

    for asked in asks[:2]:
        await accept(asked)
    each = int(await queue.link.call("GET", f"{queue.keys.answers}:bytes")) // 2
    await queue.link.call("DEL", queue.keys.once(asks[1].name))  # as when its time is over
    await accept(asks[1])
    await queue.link.call("DEL", queue.keys.once(asks[0].name))
    await accept(asks[2])
    assert int(await queue.link.call("GET", f"{queue.keys.answers}:bytes")) == 2 * each


@pytest.mark.parametrize("mode", model.Mode)
async def test_no_more_answers_are_kept_than_may_be_and_none_goes_before_its_time(
    redis_url: str, prefix: str, mode: model.Mode
) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix, keeping=bounds.KeptOutcomes(answers_bytes=400))
    asks = [idempotency.asked(key, "f", b"", (b"1",), 60_000) for key in "abc"]

    async def call(asked: idempotency.KeyedCall) -> str:
        one = msgspec.structs.replace(sent(mode), function=asked.function)
        if mode is model.Mode.ASYNC:
            return await idempotency.accept(queue, asked, one)
        return (await answer(queue, asked, one)).record.invocation_id

    asks[1] = idempotency.asked("b", "g", b"", (b"1",), 60_000)  # a function alone has no more than a share
    first = await call(asks[0])
    while int(await queue.link.call("GET", f"{queue.keys.answers}:bytes")) < 400:
        await call(asks[1])
        asks[1] = idempotency.asked(ids.new_id(), "g", b"", (b"1",), 60_000)
    with pytest.raises(errors.Throttled, match="idempotency keys and their answers have") as refused:
        await call(asks[2])
    assert "FAAS_KEEP_ANSWERS_MS" in refused.value.hint
    assert await call(asks[0]) == first, "what was promised holds"
    await queue.link.call("DEL", queue.keys.once(asks[0].name))  # as when its time is over
    await call(asks[2])
    assert 0 < await queue.link.call("PTTL", queue.keys.answers) <= 60_000
    queue.close()
