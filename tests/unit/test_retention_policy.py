"""What is past its time, and how large a step is."""

from __future__ import annotations

import pytest

from faas.retention import policy
from faas.store import past

DAY_MS = policy.DAY_MS
NOW_MS = 1_000 * DAY_MS


def rows(function: str, days_ago: list[int], current: int | None) -> list[past.Row]:
    """Revisions 1, 2, … that were made so many days ago."""
    return [
        past.Row(function=function, number=n, artifact="a", created_at_ms=NOW_MS - ago * DAY_MS, current=current)
        for n, ago in enumerate(days_ago, 1)
    ]


def found(made: list[past.Row], keep: int = 2, days: int = 30) -> list[str]:
    return [row.ref for row in policy.superfluous(made, keep, lambda _: days * DAY_MS, NOW_MS)]


def test_what_is_kept_for_no_days_is_kept_for_ever() -> None:
    assert policy.cut_ms(NOW_MS, 0) is None
    assert policy.cut_ms(NOW_MS, 3 * DAY_MS) == NOW_MS - 3 * DAY_MS


def test_old_revisions_go_but_for_the_last_ones() -> None:
    assert found(rows("f", [90, 80, 70, 60], current=4)) == ["f@1", "f@2"]
    assert found(rows("f", [90, 80, 70, 60], current=4), keep=9) == []


def test_the_age_of_a_revision_counts_from_the_one_that_replaced_it() -> None:
    assert found(rows("f", [90, 31, 29, 1], current=4), keep=1) == ["f@1"]


def test_a_current_revision_stays_however_old_and_a_newer_one_that_a_deploy_tries() -> None:
    assert found(rows("f", [90, 80, 70, 60], current=2), keep=1) == ["f@1"]
    assert found(rows("f", [900], current=1), keep=1) == []


def test_of_a_function_that_was_removed_nothing_is_kept_past_its_time() -> None:
    assert found(rows("f", [90, 80, 31], current=None)) == ["f@1", "f@2", "f@3"]
    assert found(rows("f", [90, 80, 29], current=None)) == ["f@1"]


@pytest.mark.parametrize(("keep", "days"), [(0, 30), (1, 0), (0, 0)])
def test_either_bound_set_to_nothing_keeps_all(keep: int, days: int) -> None:
    assert found(rows("f", [90, 80], current=2) + rows("g", [90], current=None), keep, days) == []


def test_functions_are_looked_at_one_by_one() -> None:
    assert found(rows("f", [90, 80], current=2) + rows("g", [90, 80], current=2), keep=1) == ["f@1", "g@1"]
    assert found([]) == []


def test_a_step_that_took_long_is_followed_by_a_smaller_one_and_a_longer_pause() -> None:
    assert policy.next_rows(400, took_s=0.2) == 40
    assert policy.next_rows(400, took_s=0.001) == 800
    assert policy.next_rows(2_000, took_s=0.001) == 2_000
    assert policy.next_rows(20, took_s=9.0) == policy.FEWEST_ROWS
    assert policy.pause_s(0.02) == pytest.approx(0.08)
    assert policy.pause_s(60.0) == 1.0


def test_a_step_that_is_long_for_what_it_costs_besides_its_rows_does_not_shrink_the_next_ones_to_nothing() -> None:
    rows = policy.FIRST_ROWS
    for _ in range(20):
        rows = policy.next_rows(rows, took_s=0.06)
    assert rows == policy.FIRST_ROWS
    assert policy.next_rows(policy.FEWEST_ROWS, took_s=0.06) == 2 * policy.FEWEST_ROWS
    assert policy.next_rows(policy.FEWEST_ROWS, took_s=0.06, usual=policy.FEWEST_ROWS) == policy.FEWEST_ROWS
