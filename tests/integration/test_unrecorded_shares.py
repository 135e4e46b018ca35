"""A function whose records fill what may wait for the ledger leaves room for the records of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import errors, ids, model
from faas.queue import bounds as limits
from faas.queue import census, cursors, invocations, records, shipping
from tests import samples

MOST = 40_000
HOUR_MS = 3_600_000


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix, limits.Bounds(unrecorded_bytes=MOST))
    yield opened
    assert (await census.held(opened)).is_right
    opened.close()


def an_invocation(function: str) -> model.Invocation:
    mode = model.Mode.ASYNC
    return model.Invocation(
        id=ids.new_id(), function=function, revision=1, trigger="http", mode=mode, event=b"1", accepted_at_ms=1
    )


async def run(queue: invocations.Queue, function: str) -> None:
    """One that logs a thousand characters. Raises `errors.Throttled`."""
    one = an_invocation(function)
    await queue.enqueue(one)
    (claim,) = await queue.claim("n", one.ref, 1)
    told = msgspec.structs.replace(samples.record(one), logs=(model.LogLine(1, "x" * 1_000),))
    await queue.finish_claimed(claim, told, node="n")


async def runs_until_refused(queue: invocations.Queue, function: str) -> int:
    """The bytes of the function's records when no more of it is accepted."""
    with pytest.raises(errors.Throttled, match=f"records of {function} wait for the ledger") as refused:
        for _ in range(MOST):
            await run(queue, function)
    assert refused.value.retry_after_s > 1
    return (await census.unrecorded_shares(queue))[function]


async def reader(redis_url: str, queue: invocations.Queue, **of: cursors.Cursor) -> records.RecordsReader:
    return await records.RecordsReader.open(redis_url, queue.keys.prefix, "r", **of)


async def test_one_function_gets_the_half_and_as_much_again_when_some_are_in_the_ledger(
    queue: invocations.Queue, redis_url: str
) -> None:
    taken = await runs_until_refused(queue, "greedy")
    assert MOST // 2 <= taken < MOST // 2 + 2_000
    for delay_ms in (0, HOUR_MS):
        await queue.enqueue(an_invocation("other"), delay_ms=delay_ms)
        with pytest.raises(errors.Throttled, match="records of greedy"):
            await queue.enqueue(an_invocation("greedy"), delay_ms=delay_ms)
    ledger = await reader(redis_url, queue)
    await ledger.done(await ledger.read(5, 1))
    await runs_until_refused(queue, "greedy")
    while (got := await ledger.read(1_000, 1)).records:
        await ledger.done(got)
    assert await census.unrecorded_shares(queue) == {}
    await run(queue, "greedy")
    await ledger.close()


async def test_of_many_functions_each_leaves_room_for_one_more(queue: invocations.Queue) -> None:
    taken = [await runs_until_refused(queue, f"greedy-{place}") for place in range(3)]
    assert taken[0] > taken[1] > taken[2] > 0
    await run(queue, "other")


async def test_records_of_several_functions_that_a_journal_brings_are_counted_to_each(
    queue: invocations.Queue, redis_url: str
) -> None:
    ended = [samples.ended(invocation_id=ids.new_id(), function=name) for name in ("a", "b", "a", "c")]
    packed = [msgspec.msgpack.encode(record) for record in ended]
    batch = msgspec.msgpack.encode(ended)
    sizes = {"a@1": 1 + len(packed[0]) + len(packed[2]), "b@1": len(packed[1]), "c@1": len(packed[3])}
    counts = {"a@1": 2, "b@1": 1, "c@1": 1}
    shipment = shipping.Shipment("n", 0, 4, batch, counts, sizes)
    said = shipping.shipped(await shipping.send(queue, shipment), shipment)
    own = {ref.partition("@")[0]: size for ref, size in sizes.items()}
    assert said == shipping.Shipped(4, len(batch), own)
    assert await census.unrecorded_shares(queue) == own
    await run(queue, "a")
    ledger = await reader(redis_url, queue)
    got = await ledger.read(4, 1)
    assert sum(map(sum, [of[1::2] for of in got.owners])) == len(batch)  # type: ignore[arg-type]
    await ledger.done(got)
    assert (await census.unrecorded_shares(queue)).keys() == {"a"}
    await ledger.done(await ledger.read(4, 1))
    await ledger.close()


async def test_what_waits_for_another_sink_only_is_in_nobodys_share(queue: invocations.Queue, redis_url: str) -> None:
    lines = await reader(redis_url, queue, cursor=cursors.of("lines", may_miss=False))
    ledger = await reader(redis_url, queue)
    for name in ("a", "b"):
        await run(queue, name)
    await ledger.done(await ledger.read(1, 1))
    assert (await census.unrecorded_shares(queue)).keys() == {"b"}
    await ledger.done(await ledger.read(1, 1))
    assert await census.unrecorded_shares(queue) == {}
    assert await census.unrecorded_bytes(queue) > 2_000
    for _ in range(2):
        await lines.done(await lines.read(1, 1))
    assert await census.unrecorded_bytes(queue) == 0
    await ledger.close()
    await lines.close()


async def test_whose_records_another_recorder_has_called_done_already_are_subtracted_once(
    queue: invocations.Queue, redis_url: str
) -> None:
    for name in ("a", "b", "b"):
        await run(queue, name)
    ledger = await reader(redis_url, queue)
    await ledger.done(await ledger.read(1, 1))
    got = await ledger.read(1, 1)
    await ledger.done(got)
    before = await census.unrecorded_shares(queue)
    await ledger.done(got)
    assert await census.unrecorded_shares(queue) == before
    assert before.keys() == {"b"}
    await ledger.done(await ledger.read(1, 1))
    await ledger.close()


@pytest.mark.parametrize(
    ("own", "everybodys", "has"),
    [
        (0, 0, True), (0, 99, True), (0, 100, False),
        (49, 49, True), (50, 50, False), (10, 89, True), (10, 90, False), (1, 200, False),
    ],
)  # fmt: skip
def test_whoever_has_something_gets_no_more_than_is_free(own: int, everybodys: int, has: bool) -> None:
    assert limits.has_room(own, everybodys, 100) is has
