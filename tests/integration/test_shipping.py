"""What nodes' journals hold comes into Redis once, however often and from wherever it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import ids, model
from faas.queue import census, invocations, shipping
from tests import samples


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    assert not any(counts.drift for counts in (await opened.counts()).values())
    assert (await census.held(opened)).is_right
    opened.close()


def batch(start: int, end: int, journal: str = "n1") -> shipping.Shipment:
    """As if each call had one byte of the journal; every third is of another revision."""
    records = [samples.ended(invocation_id=ids.new_id()) for _ in range(start, end)]
    others = sum(place % 3 == 0 for place in range(start, end))
    counts = {"hello@1": end - start - others, "hello@2": others}
    packed = msgspec.msgpack.encode(records)
    return shipping.Shipment(journal, start, end, packed, counts, {"hello@1": len(packed)})


async def ship(queue: invocations.Queue, shipment: shipping.Shipment) -> shipping.Shipped:
    return shipping.shipped(await shipping.send(queue, shipment), shipment)


async def done(queue: invocations.Queue) -> int:
    return sum(counts.done for counts in (await queue.counts()).values())


async def test_a_batch_brings_its_records_in_one_entry_and_counts_of_each_revision(queue: invocations.Queue) -> None:
    shipment = batch(0, 7)
    shipped = await ship(queue, shipment)
    assert shipped == shipping.Shipped(7, len(shipment.records), {"hello": len(shipment.records)})
    assert await queue.counts() == {
        "hello@1": model.Counts(accepted=4, done=4),
        "hello@2": model.Counts(accepted=3, done=3),
    }
    ((_, fields),) = await queue.link.call("XRANGE", queue.keys.records, "-", "+")
    assert fields == [b"b", shipment.records]


async def test_a_batch_that_is_sent_again_changes_nothing_and_is_said_to_be_taken(queue: invocations.Queue) -> None:
    shipment = batch(0, 5)
    first, again = await ship(queue, shipment), await ship(queue, shipment)
    assert (first.mark, first.unrecorded_bytes) == (again.mark, again.unrecorded_bytes)
    await ship(queue, batch(5, 8))
    assert (await ship(queue, shipment)).mark == 8
    assert await done(queue) == 8


async def test_of_a_batch_whose_first_part_was_taken_nothing_is_taken_until_it_is_cut_anew(
    queue: invocations.Queue,
) -> None:
    await ship(queue, batch(0, 3))
    assert (await ship(queue, batch(0, 6))).mark == 3
    assert await done(queue) == 3
    assert (await ship(queue, batch(3, 6))).mark == 6
    assert await done(queue) == 6


async def test_a_batch_is_taken_by_a_redis_that_lost_what_came_before_it(queue: invocations.Queue) -> None:
    assert (await ship(queue, batch(4, 6))).mark == 6
    assert await done(queue) == 2


async def test_a_batch_without_records_moves_the_mark_and_leaves_no_entry(queue: invocations.Queue) -> None:
    assert await ship(queue, shipping.Shipment("n1", 0, 9, b"", {})) == shipping.Shipped(9, 0)
    assert await queue.link.call("EXISTS", queue.keys.records) == 0


async def test_each_journal_has_a_mark_of_its_own_until_it_is_forgotten(queue: invocations.Queue) -> None:
    await ship(queue, batch(0, 2, "n1"))
    await ship(queue, batch(0, 4, "n2"))
    assert [await shipping.mark(queue, name) for name in ("n1", "n2", "n3")] == [2, 4, 0]
    await shipping.forget(queue, "n1")
    assert [await shipping.mark(queue, name) for name in ("n1", "n2")] == [0, 4]


async def test_a_revision_that_is_known_by_its_hand_offs_only_has_queues_that_can_be_read(
    queue: invocations.Queue,
) -> None:
    await ship(queue, batch(0, 2))
    for ref in ("hello@1", "hello@2"):
        assert await queue.claim("n1", ref, 1) == []
        for stream in queue.keys.queues(ref):
            assert len(await queue.link.call("XINFO", "GROUPS", stream)) == 1
