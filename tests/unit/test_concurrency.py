"""How many slots help, over histories as they are recorded: of handlers that wait, that compute, and of bad days."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners import concurrency

Takes = Callable[[int], float]


def after(takes: Takes, *, processors: int = 2, most: int = 100, start_ms: float = 300.0, rounds: int = 20) -> int:
    """How many slots there are in the end, when as many are made as may be and all of them are always busy."""
    gains = concurrency.Gains()
    slots = 1
    for number in range(rounds):
        for _ in range(50):
            gains.add(slots, takes(slots))
        allowed = concurrency.most_slots(
            gains.levels(float(number)),
            float(number),
            processors=processors,
            attempt_ms=takes(slots),
            start_ms=start_ms,
            most=most,
        )
        slots = max(slots, min(allowed, 2 * slots))
    return slots


def waits(ms: float) -> Takes:
    return lambda _slots: ms


def computes(ms: float, processors: int) -> Takes:
    return lambda slots: ms * max(slots / processors, 1.0)


def test_a_handler_that_waits_gets_all_the_slots_that_it_may_have() -> None:
    assert after(waits(50.0)) == 100
    assert after(waits(2_000.0)) == 100


@pytest.mark.parametrize("processors", [1, 2, 4, 16])
@pytest.mark.parametrize("ms", [0.2, 5.0, 50.0])
def test_a_handler_that_computes_gets_hardly_more_slots_than_there_are_processors(processors: int, ms: float) -> None:
    assert processors <= after(computes(ms, processors), processors=processors) <= 4 * processors


def test_a_handler_that_does_both_gets_slots_until_the_processors_are_used() -> None:
    def takes(slots: int) -> float:
        return max(50.0, 5.0 * slots / 2)

    assert 16 <= after(takes) <= 64


def test_noise_does_not_make_a_computing_handler_grow() -> None:
    draw = random.Random(1)
    steady = computes(0.3, 2)
    assert after(lambda slots: steady(slots) * draw.uniform(0.7, 1.3)) <= 8


def test_a_machine_that_slows_down_for_ten_seconds_gets_no_more_slots_for_that() -> None:
    gains = concurrency.Gains()
    for busy in (1, 2):
        for _ in range(50):
            gains.add(busy, 0.3)
    gains.levels(0.0)
    for second in range(1, 11):
        for _ in range(50):
            gains.add(2, 9.0)
        levels = gains.levels(float(second))
        assert (
            concurrency.most_slots(levels, float(second), processors=2, attempt_ms=9.0, start_ms=300.0, most=100) == 4
        )


def test_the_burst_of_first_calls_has_no_limit_but_its_own() -> None:
    assert concurrency.most_slots({}, 0.0, processors=2, attempt_ms=0.0, start_ms=300.0, most=100) == 100


def test_one_call_behind_a_handler_of_a_minute_may_have_a_slot_at_once() -> None:
    gains = concurrency.Gains()
    for _ in range(2):
        gains.add(1, 60_000.0)
    assert (
        concurrency.most_slots(gains.levels(0.0), 0.0, processors=1, attempt_ms=60_000.0, start_ms=300.0, most=100)
        == 100
    )


def test_what_was_found_long_ago_is_tried_again() -> None:
    gains, takes = concurrency.Gains(), computes(1.0, 4)
    for busy in (1, 2, 4, 8):
        for _ in range(50):
            gains.add(busy, takes(busy))

    def most(now_s: float) -> int:
        levels = gains.levels(now_s)
        return concurrency.most_slots(levels, now_s, processors=1, attempt_ms=1.0, start_ms=300.0, most=100)

    assert most(0.0) == 4
    for _ in range(50):
        gains.add(4, takes(4))
    assert most(concurrency.FORGOTTEN_S + 1) == 8


def test_a_crowd_that_comes_again_and_again_makes_no_more_slots_each_time() -> None:
    gains = concurrency.Gains()
    slots, takes = 1, computes(0.3, 2)
    for time_s in range(0, 6_000, 100):  # each time all that is known is older than what is forgotten
        for step in range(20):
            for _ in range(50):
                gains.add(slots, takes(slots))
            now_s = float(time_s + step)
            levels = gains.levels(now_s)
            most = concurrency.most_slots(levels, now_s, processors=2, attempt_ms=1.0, start_ms=300.0, most=100)
            slots = max(slots, min(most, 2 * slots))
    assert slots <= 8


def test_too_few_attempts_say_nothing() -> None:
    gains = concurrency.Gains()
    gains.add(1, 1.0)
    assert not gains.levels(0.0)


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0, 1e7)), max_size=200),
    st.integers(1, 64),
    st.integers(1, 1_000),
    st.floats(0.0, 1e6),
)
def test_the_limit_is_between_its_bounds(
    attempts: list[tuple[int, float]], processors: int, most: int, attempt_ms: float
) -> None:
    gains = concurrency.Gains()
    for busy, ms in attempts:
        gains.add(busy, ms)
    found = concurrency.most_slots(
        gains.levels(0.0), 0.0, processors=processors, attempt_ms=attempt_ms, start_ms=300.0, most=most
    )
    assert min(processors, most) <= found <= most
