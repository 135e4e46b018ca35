"""Idempotency keys: on the control API with a worker that the test is, and in the queue alone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import accepting, bounds, calls, embedded, idempotency, invocations
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


async def test_async_calls_with_one_key_get_one_id(api: served_api.ControlApi) -> None:
    answers = await asyncio.gather(*(call(api, "1", "async") for _ in range(10)))
    assert len({value["invocation_id"] for _, value in answers}) == 1
    async with api.queue() as queue:
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=1, waiting=1)


def sent(mode: model.Mode = model.Mode.ASYNC) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="f", revision=1, trigger="invoke", mode=mode, event=b"1", accepted_at_ms=1
    )


async def test_a_key_is_free_again_when_its_call_was_refused(queue: invocations.Queue) -> None:
    asked = idempotency.asked("k", "f", (b"1",), 60_000)
    await queue.enqueue(sent())
    with pytest.raises(errors.Throttled):
        await idempotency.accept(queue, asked, sent())
    await queue.claim("n1", "f@1", 1)
    accepted = sent()
    assert await idempotency.accept(queue, asked, accepted) == accepted.id


async def test_what_the_platform_lost_may_be_tried_again_with_its_key(queue: invocations.Queue) -> None:
    asked = idempotency.asked("k", "f", (b"1",), 60_000)

    async def ended(status: model.Status) -> model.Status:
        one = sent(model.Mode.SYNC)

        async def run() -> model.Outcome:
            return model.Outcome(record=samples.record(one, status))

        return (await idempotency.answer(queue, asked, one.id, run, within_ms=5_000)).record.status

    assert await ended(model.Status.LOST) is model.Status.LOST
    assert await ended(model.Status.ERROR) is model.Status.ERROR
    assert await ended(model.Status.OK) is model.Status.ERROR, "the answer is the first one's"


async def test_an_answer_is_kept_for_a_caller_who_went_before_it_came(queue: invocations.Queue) -> None:
    asked, one, go = idempotency.asked("k", "f", (b"1",), 60_000), sent(model.Mode.SYNC), asyncio.Event()

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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "ACCEPTED_WITHIN_S", 0.3)
    server = embedded.EmbeddedServer(tmp_path / "redis")
    queue = await invocations.Queue.connect(await server.start(), "faas")
    asked = [idempotency.asked(key, "f", (b"1",), 60_000) for key in "abc"]
    one = sent(model.Mode.SYNC)

    async def run() -> model.Outcome:
        os.kill(server.pid or 0, signal.SIGSTOP)
        return model.Outcome(record=samples.record(one))

    try:
        assert (await idempotency.answer(queue, asked[0], one.id, run, within_ms=60_000)).record == samples.record(one)
        with pytest.raises(errors.Unavailable, match="Redis has not answered"):
            await idempotency.accept(queue, asked[1], sent())
        with pytest.raises(errors.Unavailable, match="Redis has not answered"):
            await idempotency.answer(queue, asked[2], ids.new_id(), run, within_ms=60_000)
    finally:
        os.kill(server.pid or 0, signal.SIGCONT)
    again = await idempotency.answer(queue, asked[0], ids.new_id(), run, within_ms=60_000)
    assert again.record.invocation_id == one.id, "the answer was kept as soon as Redis went on"
    queue.close()
    await server.stop()


async def test_the_bytes_of_a_key_that_is_used_again_after_its_time_are_counted_once(queue: invocations.Queue) -> None:
    asks = [idempotency.asked(key, "f", (b"1",), 60_000) for key in "abc"]

    async def accept(asked: idempotency.Asked) -> None:
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
    queue = await invocations.Queue.connect(redis_url, prefix, keeping=bounds.Keeping(answers_bytes=400))
    asks = [idempotency.asked(key, "f", (b"1",), 60_000) for key in "abc"]

    async def call(asked: idempotency.Asked) -> str:
        one = sent(mode)
        if mode is model.Mode.ASYNC:
            return await idempotency.accept(queue, asked, one)

        async def run() -> model.Outcome:
            return model.Outcome(record=samples.record(one))

        return (await idempotency.answer(queue, asked, one.id, run, within_ms=5_000)).record.invocation_id

    first = await call(asks[0])
    while int(await queue.link.call("GET", f"{queue.keys.answers}:bytes")) < 400:
        await call(asks[1])
        asks[1] = idempotency.asked(ids.new_id(), "f", (b"1",), 60_000)
    with pytest.raises(errors.Throttled, match="idempotency keys and their answers have") as refused:
        await call(asks[2])
    assert "FAAS_KEEP_ANSWERS_MS" in refused.value.hint
    assert await call(asks[0]) == first, "what was promised holds"
    await queue.link.call("DEL", queue.keys.once(asks[0].name))  # as when its time is over
    await call(asks[2])
    assert 0 < await queue.link.call("PTTL", queue.keys.answers) <= 60_000
    queue.close()
