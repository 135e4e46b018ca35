"""The order of a benchmark's rounds, and what is made of their figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import rounds

_values = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=20)


def _sample(contender: str, number: int, case: str = "1 client", **figures: float) -> rounds.Sample:
    return rounds.Sample(case=case, contender=contender, round=number, figures=figures)


def test_contenders_take_turns_and_every_other_round_goes_backwards() -> None:
    order = [f"{number}{contender}" for number, contender in rounds.turns(["a", "b"], 3)]
    assert order == ["0a", "0b", "1b", "1a", "2a", "2b"]


def test_within_a_round_the_contenders_of_a_case_run_right_after_one_another() -> None:
    order = [f"{number}{case}{contender}" for number, case, contender in rounds.product(["x", "y"], ["a", "b"], 2)]
    assert order == ["0xa", "0xb", "0ya", "0yb", "1xb", "1xa", "1yb", "1ya"]


@given(_values)
def test_a_median_lies_between_the_least_and_the_greatest(values: list[float]) -> None:
    found = rounds.spread(values)
    assert found.low == min(values) <= found.median <= max(values) == found.high


def test_no_values_have_no_spread() -> None:
    with pytest.raises(ValueError, match="no values"):
        rounds.spread([])


@given(_values, st.floats(min_value=0.01, max_value=100))
def test_a_ratio_does_not_see_the_machine_become_slower(speeds: list[float], factor: float) -> None:
    theirs = dict(enumerate(speeds))
    ours = {number: factor * speed for number, speed in theirs.items()}
    found = rounds.ratio(ours, theirs)
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)


def test_a_ratio_uses_the_rounds_that_both_have() -> None:
    assert rounds.ratio({0: 3.0, 1: 8.0, 2: 100.0}, {0: 1.0, 1: 2.0}) == rounds.Spread(3.5, 3.0, 4.0)


def test_figures_are_told_apart_by_case_and_contender() -> None:
    samples = [
        _sample("a", 0, p50=1),
        _sample("b", 0, p50=2),
        _sample("a", 1, p50=3),
        _sample("a", 0, "8 clients", p50=4),
    ]
    assert rounds.figure(samples, "1 client", "a", "p50") == {0: 1, 1: 3}
    assert rounds.figure(samples, "1 client", "a", "p99") == {}
    assert rounds.names(samples) == [("1 client", "a"), ("1 client", "b"), ("8 clients", "a")]


def test_names_stay_together_by_case() -> None:
    samples = [_sample("a", 0, "x"), _sample("a", 0, "y"), _sample("b", 0, "x")]
    assert rounds.names(samples) == [("x", "a"), ("x", "b"), ("y", "a")]


def test_a_rate_leaves_out_what_was_done_before_the_first_look_and_the_start_of_the_worker() -> None:
    seen = [
        rounds.Progress(at, done) for at, done in [(0.0, 0), (1.0, 0), (2.0, 10), (3.0, 60), (4.0, 110), (5.0, 110)]
    ]
    assert rounds.rate(seen) == 50


def test_a_rate_of_what_was_done_between_two_looks_counts_from_the_first_look() -> None:
    assert rounds.rate([rounds.Progress(0.0, 0), rounds.Progress(1.0, 0), rounds.Progress(2.0, 100)]) == 50
