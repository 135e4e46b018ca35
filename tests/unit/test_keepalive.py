"""The policy of keeping and making slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners import keepalive


def test_without_a_history_a_slot_is_kept_for_the_least_time() -> None:
    assert keepalive.keep_ms([], least_ms=60_000, most_ms=900_000) == 60_000


def test_a_function_called_every_two_minutes_stays_warm() -> None:
    assert keepalive.keep_ms([120_000] * 20, least_ms=60_000, most_ms=900_000) == 180_000


def test_a_function_called_once_a_day_is_not_paid_for() -> None:
    assert keepalive.keep_ms([86_400_000] * 20 + [1000], least_ms=60_000, most_ms=900_000) == 60_000


@given(st.lists(st.integers(0, 10**8)))
def test_the_time_is_always_between_its_bounds(gaps: list[int]) -> None:
    assert 60_000 <= keepalive.keep_ms(gaps, least_ms=60_000, most_ms=900_000) <= 900_000


@pytest.mark.parametrize(
    ("waiting", "slots", "making", "attempt_ms", "lasted_ms", "most", "made"),
    [
        (0, 0, 0, 0.0, 0, 100, 0),
        (1, 0, 0, 0.0, 0, 100, 1),
        (1000, 0, 0, 0.0, 0, 100, 100),
        (20, 4, 4, 0.0, 0, 100, 16),
        (20, 0, 0, 1.0, 0, 100, 20),
        (20, 4, 0, 1.0, 0, 100, 0),
        (3, 4, 0, 1.0, 0, 100, 0),
        (1, 1, 0, 60_000.0, 0, 100, 1),
        (1, 1, 0, 60_000.0, 0, 1, 0),
        (5, 5, 0, 60_000.0, 0, 100, 5),
        (5, 10, 5, 60_000.0, 0, 100, 0),
        (1, 120, 0, 60_000.0, 0, 100, 0),
        (20, 1, 0, 0.2, 300, 100, 0),
        (40, 1, 0, 0.2, 300, 100, 1),
        (20, 4, 0, 3.0, 300, 100, 4),
        (20, 4, 0, 1.5, 300, 100, 2),
        (3, 4, 0, 30.0, 300, 100, 3),
        (20, 4, 0, 3.0, 300, 5, 1),
        (0, 4, 0, 1.0, 300, 100, 0),
    ],
)
def test_slots_are_made_for_what_waits_too_long(
    waiting: int, slots: int, making: int, attempt_ms: float, lasted_ms: float, most: int, made: int
) -> None:
    assert made == keepalive.slots_to_make(
        waiting=waiting,
        waiting_sync=waiting,
        slots=slots,
        making=making,
        attempt_ms=attempt_ms,
        start_ms=300,
        lasted_ms=lasted_ms,
        most=most,
    )


def test_a_backlog_of_short_async_work_at_most_doubles_the_slots_and_only_as_far_as_a_start_pays() -> None:
    made = [
        keepalive.slots_to_make(
            waiting=16_000, waiting_sync=0, slots=slots, making=0, attempt_ms=0.2, start_ms=250, lasted_ms=500, most=100
        )
        for slots in (1, 4, 8, 13)
    ]
    assert made == [1, 4, 5, 0]
