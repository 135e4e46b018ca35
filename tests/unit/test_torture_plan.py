"""The same seed is the same torture."""

from __future__ import annotations

import itertools

from tests.torture import plan


def test_a_seed_always_gives_the_same_faults_and_the_same_work() -> None:
    assert plan.faults(7, 600, 5) == plan.faults(7, 600, 5)
    assert plan.faults(7, 600, 5) != plan.faults(8, 600, 5)
    first, second = (list(itertools.islice(plan.work(7), 200)) for _ in range(2))
    assert first == second


def test_no_kind_of_fault_comes_again_before_every_other_has_come() -> None:
    kinds = [fault.kind for fault in plan.faults(3, 1_000, 5)]
    for start in range(0, len(kinds) - len(plan.FAULTS), len(plan.FAULTS)):
        assert set(kinds[start : start + len(plan.FAULTS)]) == set(plan.FAULTS)


def test_faults_come_in_order_within_the_time_about_as_often_as_asked() -> None:
    times = [fault.at_s for fault in plan.faults(3, 1_000, 5)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 1_000
    assert 150 < len(times) < 260
