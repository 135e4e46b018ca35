"""Moments and lengths of time as people write them."""

from __future__ import annotations

import pytest

from faas.core import errors, moments

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("0", 0),
        ("1800000000000", NOW_MS),
        ("90s", NOW_MS - 90_000),
        ("1.5h", NOW_MS - 5_400_000),
        ("30d", NOW_MS - 30 * 86_400_000),
        ("999999w", 0),
        ("10min", NOW_MS - 600_000),
        ("4.35h", NOW_MS - 15_660_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:01Z", 1_000),
    ],
)
def test_a_moment_is_an_age_a_date_or_milliseconds(text: str, at_ms: int) -> None:
    assert moments.moment_ms(text, NOW_MS) == at_ms


@pytest.mark.parametrize("text", ["", "soon", "-1", "1960-01-01", "10 years", "9" * 40, "٣d", "1e3", "0000-01-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="no time"):
        moments.moment_ms(text, NOW_MS)


@pytest.mark.parametrize(("text", "length_ms"), [("60000", 60_000), ("1m", 60_000), ("0.5d", 43_200_000), ("1ms", 1)])
def test_a_length_of_time_has_a_unit_or_is_milliseconds(text: str, length_ms: int) -> None:
    assert moments.span_ms(text) == length_ms


@pytest.mark.parametrize("text", ["", "0", "0s", "-1h", "h", "2026-01-01", "9" * 40])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="no length of time"):
        moments.span_ms(text)
