"""The same seed is the same torture."""

from __future__ import annotations

import itertools

from tests.torture import plan


def _faults(seed: int, count: int = 100) -> list[plan.Fault]:
    return list(itertools.islice(plan.faults(seed, 0.5), count))


def test_a_seed_always_gives_the_same_faults_and_the_same_work() -> None:
    assert _faults(7) == _faults(7)
    assert _faults(7) != _faults(8)
    first, second = (list(itertools.islice(plan.work(7), 200)) for _ in range(2))
    assert first == second


def test_no_kind_of_fault_comes_again_before_every_other_has_come() -> None:
    kinds = [fault.kind for fault in _faults(3, 10 * len(plan.FAULTS)) if fault.kind in plan.FAULTS]
    for start in range(0, len(kinds) // len(plan.FAULTS) * len(plan.FAULTS), len(plan.FAULTS)):
        assert set(kinds[start : start + len(plan.FAULTS)]) == set(plan.FAULTS)


def test_the_long_pauses_come_in_turns_and_not_in_every_round() -> None:
    kinds = [fault.kind for fault in _faults(3, 16 * len(plan.FAULTS))]
    rests = [kind for kind in kinds if kind in plan.LONG]
    assert 3 <= len(rests) <= 4
    assert set(rests) == set(plan.LONG)
    assert all(one != other for one, other in itertools.pairwise(rests))


def test_gaps_have_the_mean_that_is_asked_for() -> None:
    gaps = [fault.gap_s for fault in _faults(3, 1_000)]
    assert min(gaps) >= 0
    assert 0.45 < sum(gaps) / len(gaps) < 0.55
