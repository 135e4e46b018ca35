"""Which functions an overview shows, in which order, and into how many pieces it cuts their time."""

from __future__ import annotations

import pytest

from faas.api.resources import overview
from faas.core import clock

NAMES = {"thumbs": 3, "Alpha": 1, "beta": 2, "alpha-2": 9}
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("search", "found"),
    [("", ["Alpha", "alpha-2", "beta", "thumbs"]), ("ALPHA", ["Alpha", "alpha-2"]), (" mb ", ["thumbs"]), ("%", [])],
)
def test_names_are_found_by_any_part_whatever_its_case(search: str, found: list[str]) -> None:
    assert overview.found(NAMES, search) == found


def test_names_come_by_a_figure_and_by_themselves_where_it_is_the_same() -> None:
    ranks = {"a": 1, "b": 5, "c": 5}
    assert overview.in_order(["d", "c", "b", "a"], "errors", ranks, desc=True) == ["b", "c", "a", "d"]
    assert overview.in_order(["d", "c", "b", "a"], "errors", ranks, desc=False) == ["d", "a", "b", "c"]
    assert overview.in_order(["d", "c", "b", "a"], "name", {}, desc=False) == ["a", "b", "c", "d"]
    assert overview.in_order(["a", "b"], "name", {}, desc=True) == ["b", "a"]


@pytest.mark.parametrize(
    ("span", "step"),
    [
        (0, MINUTE),
        (HOUR, 2 * MINUTE),
        (6 * HOUR, 30 * MINUTE),
        (DAY, HOUR),
        (7 * DAY, 6 * HOUR),
        (30 * DAY, DAY),
        (365 * DAY, 14 * DAY),
        (20_000 * DAY, 667 * DAY),
    ],
)
def test_a_line_has_at_most_thirty_pieces_of_a_length_that_people_use(span: int, step: int) -> None:
    assert overview.step(span) == step
    assert span <= step * overview.PIECES


def test_ranks_are_made_once_in_a_while_for_each_time_and_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, made = [0.0], []
    monkeypatch.setattr(clock, "steady_s", lambda: now_s[0])
    kept = overview.KeptRanks()

    def ask(since: str, sort: overview.Sort) -> overview.Ranks:
        return kept.get(since, sort, lambda: made.append((since, sort)) or {"f": len(made)})

    assert ask("1h", "p99") == ask("1h", "p99") == {"f": 1}
    assert ask("1h", "p50") == {"f": 2}
    now_s[0] += 5
    assert ask("1h", "p99") == {"f": 3}
    for number in range(100):
        ask(f"{number}h", "rate")
    assert len(kept._of) == 16
