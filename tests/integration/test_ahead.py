"""Work that is claimed before a slot is free for it."""

from __future__ import annotations

import pytest

from faas.core import ids, model
from faas.queue import invocations
from runners import ahead
from tests.eventually import eventually


def claim(mode: model.Mode = model.Mode.ASYNC) -> invocations.Claim:
    one = model.Invocation(
        id=ids.new_id(), function="echo", revision=3, trigger="http", mode=mode, event=b"1", accepted_at_ms=1
    )
    return invocations.Claim(entry=f"{one.id}-0", invocation=one)


@pytest.mark.parametrize(
    ("slots", "attempt_ms", "most"), [(2, 0.0, 0), (2, 0.2, 32), (2, 1.0, 10), (3, 2.5, 6), (1, 5.0, 1), (4, 6.0, 0)]
)
def test_no_more_is_claimed_ahead_than_is_done_in_some_milliseconds(slots: int, attempt_ms: float, most: int) -> None:
    assert ahead.most_ahead(slots, attempt_ms) == most


async def test_sync_calls_run_before_async_ones_that_were_claimed_before_them() -> None:
    one = ahead.Ahead(lambda _: None)
    first, second = claim(), claim(model.Mode.SYNC)
    one.add(first)
    one.add(second)
    assert one.holds(first.entry)
    assert [one.next(), one.next(), one.next()] == [second, first, None]
    assert not one.holds(first.entry)


async def test_what_no_slot_takes_for_a_while_is_given_back() -> None:
    given_back: list[invocations.Claim] = []
    one = ahead.Ahead(given_back.append)
    claims = [claim() for _ in range(3)]
    for each in claims:
        one.add(each)
    assert one.next() is claims[0]
    await eventually(lambda: given_back == claims[1:])
    assert len(one) == 0
