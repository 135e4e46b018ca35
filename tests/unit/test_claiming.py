"""The states of claiming, and whose turn it is when a slot is free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import model
from runners import claiming, lane

State, Event = claiming.State, claiming.Event


def test_whatever_is_not_drawn_is_refused() -> None:
    with pytest.raises(claiming.Impossible, match="park while asking"):
        claiming.after(State.ASKING, Event.PARK)


@given(st.sampled_from(State), st.sampled_from(Event))
def test_a_lane_that_rests_stays_at_rest(state: claiming.State, event: claiming.Event) -> None:
    assert claiming.after(state, Event.REST) is State.RESTING
    assert claiming.after(State.RESTING, event) is State.RESTING


@given(st.sampled_from(State))
def test_that_something_waits_may_be_heard_at_any_time(state: claiming.State) -> None:
    assert claiming.after(state, Event.HEARD) is not State.QUIET


@pytest.mark.parametrize(
    ("in_line", "redis_waits", "last_was_line", "last_claimed", "since_s", "line_first"),
    [
        (0, True, False, model.Mode.SYNC, 0.0, False),
        (1, False, True, model.Mode.SYNC, 9.0, True),
        (1, True, False, model.Mode.SYNC, 0.0, True),
        (1, True, True, model.Mode.SYNC, 0.0, False),
        (1, True, True, model.Mode.ASYNC, 0.0, True),
        (1, True, True, model.Mode.ASYNC, 0.2, False),
    ],
)
def test_sync_calls_take_turns_wherever_they_wait_and_go_before_async_ones(
    in_line: int, redis_waits: bool, last_was_line: bool, last_claimed: model.Mode, since_s: float, line_first: bool
) -> None:
    assert line_first is lane.line_is_next(
        in_line=in_line,
        redis_waits=redis_waits,
        last_was_line=last_was_line,
        last_claimed=last_claimed,
        since_s=since_s,
    )
