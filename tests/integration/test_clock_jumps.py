"""What Redis keeps by its clock, when that clock was set back: each test leaves what an hour later would have left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import ids, model
from faas.queue import invocations, replies, retrying, whereabouts
from tests.eventually import eventually
from tests.samples import record

HOUR_MS = 3_600_000


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    opened.close()


def _invocation() -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="f", revision=1, trigger="invoke", mode=model.Mode.ASYNC, event=b"1", accepted_at_ms=1
    )


async def test_what_is_due_is_due_no_later_when_the_clock_is_set_back(queue: invocations.Queue) -> None:
    now_ms = time.time_ns() // 1_000_000
    clock = f"{queue.keys.retrying}:clock"
    before, after = _invocation(), _invocation()
    await queue.enqueue(before, delay_ms=10)
    await queue.link.call("ZINCRBY", queue.keys.retrying, HOUR_MS, f"async {before.ref} {before.id}")
    await queue.link.call("HSET", clock, "last", now_ms + HOUR_MS)
    assert await eventually(lambda: _moved(queue)) == 1
    await queue.enqueue(after, delay_ms=60_000)
    moved, next_ms = await retrying.move_due(queue)
    assert moved == 0
    assert next_ms is not None
    assert 50_000 < next_ms <= 60_000
    found = await whereabouts.find(queue, after.id)
    assert found is not None
    assert found.due_at_ms is not None
    assert abs(found.due_at_ms - now_ms - 60_000) < 10_000, "as the clock is now"


async def _moved(queue: invocations.Queue) -> int:
    return (await retrying.move_due(queue))[0]


async def test_replies_are_read_from_a_stream_that_lapsed_and_began_anew_with_lower_ids(
    queue: invocations.Queue, redis_url: str, prefix: str
) -> None:
    answers = await replies.Replies.open(redis_url, prefix)
    stream = queue.keys.reply(answers.address)
    for entry in (f"{time.time_ns() // 1_000_000 + HOUR_MS}-0", "*"):
        call = _invocation()
        outcome = msgspec.msgpack.encode(model.Outcome(record=record(call)))
        expected = answers.expect(call.id)
        await queue.link.call("XADD", stream, entry, "i", call.id, "o", outcome)
        async with asyncio.timeout(10):
            await expected
        await eventually(lambda: _is_read(queue, stream))
        await queue.link.call("DEL", stream)
    await answers.close()


async def _is_read(queue: invocations.Queue, stream: str) -> bool:
    return bool(await queue.link.call("XLEN", stream) == 0)
