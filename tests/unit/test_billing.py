"""Money is whole pico-units, and durations are rounded up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core.money import billing


@given(st.integers(0, 10**9))
def test_billed_milliseconds_are_the_duration_rounded_up_and_at_least_one(duration_us: int) -> None:
    billed = billing.billed_ms(duration_us)
    assert billed >= 1
    assert billed * 1000 >= duration_us
    assert billed == 1 or (billed - 1) * 1000 < duration_us


def test_a_gb_second_costs_its_price_and_a_request_its_own() -> None:
    assert billing.cost_pico(1000, 1024, 16_666_700, 200) == 16_666_700 + 200_000


def test_a_millisecond_of_a_small_function_still_costs_something() -> None:
    assert billing.cost_pico(1, 128, 16_666_700, 0) == 2083


@pytest.mark.parametrize(
    ("ended_at_ms", "started_at_ms", "billed"),
    [(1_000, 1_000, 0), (1_000, 3_500, 2_500), (1_000, 900_000, 60_000), (9, 5, 0)],
)
def test_time_between_attempts_that_a_function_may_use_is_billed_for_a_minute_at_most(
    ended_at_ms: int, started_at_ms: int, billed: int
) -> None:
    assert billing.background_ms(ended_at_ms, started_at_ms) == billed
