"""A row of characters that shows figures over time."""

from __future__ import annotations

import pytest

from faas.cli import sparks

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("figures", "encoding", "drawn"),
    [
        ([], "utf-8", ""),
        ([0, 0], "utf-8", "▁▁"),
        ([0, 1, 50, 100], "utf-8", "▁▂▅█"),
        ([0, 1, 50, 100], "ascii", "_.=#"),
        ([1], "latin-1", "#"),
        ([1], None, "#"),
        ([1], "no such encoding", "#"),
        ([10**18, 1], "utf-8", "█▂"),
    ],
)
def test_the_greatest_figure_is_the_highest_and_nothing_but_0_the_lowest(
    figures: list[int], encoding: str | None, drawn: str
) -> None:
    assert sparks.line(figures, encoding) == drawn


def test_pieces_without_a_point_are_0() -> None:
    assert sparks.values({120_000: 3}, 61_000, 190_000, MINUTE) == [0, 3, 0]


@pytest.mark.parametrize("length_ms", [1, MINUTE, 10 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY, 9_999 * DAY])
def test_a_row_has_few_pieces_however_long_the_time_is(length_ms: int) -> None:
    every_ms = sparks.every_ms(0, length_ms)
    assert every_ms % MINUTE == 0
    assert len(sparks.values({}, 7, 7 + length_ms, every_ms)) <= sparks.MOST
