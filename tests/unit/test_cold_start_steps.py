"""What a cold start was spent on: steps that add up to ``init_ms``, whatever the clock did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faas.core import model
from runners import attempt
from runners.sandbox import base

MARKS = (base.Mark("fetch", 1_002), base.Mark("turn", 1_010), base.Mark("start", 1_300), base.Mark("import", 1_340))


def birth(marks: tuple[base.Mark, ...] = MARKS, ready_at_ms: int = 1_350) -> attempt.Birth:
    return attempt.Birth(model.ColdStart.FULL, 1_000, ready_at_ms, marks)


def steps(waited: attempt.Waited) -> dict[str, int]:
    return {step.name: step.ms for step in waited.steps}


def test_an_attempt_that_waited_from_the_beginning_is_told_each_step() -> None:
    waited = attempt.waited(900, birth((*MARKS, base.Mark("limits", 1_350))), 1_351)
    assert steps(waited) == {"fetch": 2, "turn": 8, "start": 290, "import": 40, "limits": 10}
    assert waited.init_ms == 350
    assert waited.queue_ms == 101


def test_an_attempt_that_came_while_the_sandbox_started_waited_for_the_rest_of_that_only() -> None:
    waited = attempt.waited(1_250, birth((*MARKS, base.Mark("limits", 1_350))), 1_351)
    assert steps(waited) == {"start": 50, "import": 40, "limits": 10}


def test_what_took_less_than_a_millisecond_is_left_out() -> None:
    marks = (base.Mark("fetch", 1_000), base.Mark("place", 1_000), base.Mark("import", 1_007))
    assert steps(attempt.waited(1_000, birth(marks, 1_007), 1_007)) == {"import": 7}


def test_a_warm_attempt_has_no_steps() -> None:
    assert attempt.waited(1_000, None, 1_001).steps == ()
    assert attempt.waited(1_400, birth(), 1_401).steps == ()


moments = st.integers(0, 10_000)


@given(
    st.lists(st.builds(base.Mark, st.sampled_from(["fetch", "turn", "start", "place", "import"]), moments), min_size=1),
    moments,
    moments,
    moments,
    moments,
)
def test_the_steps_add_up_to_the_whole_whatever_the_clock_did(
    marks: list[base.Mark], begun: int, ready: int, accepted: int, started: int
) -> None:
    waited = attempt.waited(accepted, attempt.Birth(model.ColdStart.FULL, begun, ready, tuple(marks)), started)
    assert sum(step.ms for step in waited.steps) == waited.init_ms
    assert all(step.ms > 0 for step in waited.steps)
