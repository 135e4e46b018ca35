"""When a revision that waits may have the memory of one that has more."""

from __future__ import annotations

import pytest

from runners import shares


@pytest.mark.parametrize(
    ("poor_mb", "rich_mb", "youngest_ms", "may"),
    [
        (0, 256, 0, True),
        (64, 192, 0, True),
        (64, 128, 5_000, False),  # they would only change places
        (128, 128, 5_000, False),
        (0, 64, 0, False),  # the only slot: not before it has had its turn
        (0, 64, 1_000, True),
        (0, 0, 5_000, False),
    ],
)
def test_a_slot_changes_hands_until_the_shares_are_even(
    poor_mb: int, rich_mb: int, youngest_ms: int, may: bool
) -> None:
    assert shares.may_take(poor_mb, rich_mb, 64, youngest_ms) is may
