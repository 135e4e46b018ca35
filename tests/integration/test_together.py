"""What is accepted in one turn of the event loop leaves in one step, and each is answered as if it were alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from faas.core import errors, ids, model
from faas.queue import bounds, census, guards, invocations, whereabouts

REF = "echo@3"


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix, bounds.Bounds(sync=5, total_bytes=4 * 1024 * 1024))
    yield opened
    assert not any(counts.drift for counts in (await opened.counts()).values())
    assert (await census.held(opened)).is_right
    opened.close()


def made(mode: model.Mode = model.Mode.ASYNC, event: bytes = b"1", revision: int = 3) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="echo", revision=revision, trigger="invoke", mode=mode, event=event, accepted_at_ms=1
    )


async def commands_of(queue: invocations.Queue) -> int:
    """What this connection has run, in scripts too: the server is shared by all tests."""
    info = await queue.link.call("CLIENT", "INFO")
    return int(dict(part.split(b"=", 1) for part in info.split())[b"tot-cmds"])


async def test_those_of_one_turn_and_one_revision_leave_in_one_step_and_in_their_order(
    queue: invocations.Queue,
) -> None:
    await queue.enqueue(made())
    await queue.claim("n1", REF, 1)
    before = await commands_of(queue)
    await queue.enqueue(made())
    alone = await commands_of(queue) - before
    await queue.claim("n1", REF, 1)
    before = await commands_of(queue)
    sent = [made() for _ in range(20)]
    entries = await asyncio.gather(*map(queue.enqueue, sent))
    # Each has an entry, and a key to ask for it by; once in a while demand is signalled.
    assert await commands_of(queue) - before <= alone + 19 * 2 + 1
    claims = await queue.claim("n1", REF, 20)
    assert [claim.entry for claim in claims] == list(entries)
    assert [claim.invocation for claim in claims] == sent


async def test_revisions_modes_and_those_with_a_guard_that_come_in_one_turn_all_arrive(
    queue: invocations.Queue,
) -> None:
    sent = [made(mode, revision=revision) for mode in model.Mode for revision in (3, 4)]
    guard = guards.Guard(key="objects", field="a", value="1")
    async with asyncio.TaskGroup() as group:
        for each in sent:
            group.create_task(queue.enqueue(each))
        group.create_task(queue.enqueue(made(), guard))
        group.create_task(queue.enqueue(made(), delay_ms=60_000))
    counts = await queue.counts()
    assert counts[REF] == model.Counts(accepted=4, waiting=3, retrying=1)
    assert counts["echo@4"] == model.Counts(accepted=2, waiting=2)
    found = await whereabouts.find(queue, sent[-1].id)
    assert found is not None and found.invocation == sent[-1]


async def test_those_past_the_bound_are_refused_and_those_before_it_are_not(queue: invocations.Queue) -> None:
    for _ in range(2):
        await queue.enqueue(made(model.Mode.SYNC))
    await queue.claim("n1", REF, 1)
    told = await asyncio.gather(*(queue.enqueue(made(model.Mode.SYNC)) for _ in range(6)), return_exceptions=True)
    assert [isinstance(each, str) for each in told] == [True] * 4 + [False] * 2
    for each in told[4:]:
        assert isinstance(each, errors.Throttled)
        assert each.message == "5 sync invocations of echo@3 are waiting"
    assert (await queue.counts())[REF] == model.Counts(accepted=6, waiting=5, running=1)


async def test_one_that_is_too_large_for_what_is_left_does_not_keep_smaller_ones_out(queue: invocations.Queue) -> None:
    sizes = (900_000, 900_000, 900_000, 100_000)  # one function has no more than half of the bound
    told = await asyncio.gather(*(queue.enqueue(made(event=b"1" * size)) for size in sizes), return_exceptions=True)
    assert [isinstance(each, str) for each in told] == [True, True, False, True]
    assert isinstance(told[2], errors.Throttled)


async def test_one_whose_caller_goes_before_the_turn_is_over_may_be_there_and_is_counted(
    queue: invocations.Queue,
) -> None:
    going, staying = (asyncio.create_task(queue.enqueue(made())) for _ in range(2))
    asyncio.get_running_loop().call_soon(going.cancel)
    assert await staying
    with pytest.raises(asyncio.CancelledError):
        await going
    assert (await queue.counts())[REF] == model.Counts(accepted=2, waiting=2)


async def test_when_redis_goes_each_hears_of_it(queue: invocations.Queue) -> None:
    asyncio.get_running_loop().call_soon(queue.link.close)
    told = await asyncio.gather(*(queue.enqueue(made()) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, errors.Unavailable) for each in told)
    assert len({id(each) for each in told}) == 3
    await queue.reopen()
    await queue.enqueue(made())


async def test_queues_that_a_person_deleted_are_made_again(queue: invocations.Queue) -> None:
    await queue.enqueue(made())
    await queue.claim("n1", REF, 1)
    await queue.link.call("DEL", *queue.keys.queues(REF), queue.keys.counts(REF), queue.keys.held)
    await queue.enqueue(made())
    assert len(await queue.claim("n1", REF, 1)) == 1
