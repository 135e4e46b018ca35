"""The upper ends of sketches tell of a sum what the sketches themselves would, or that they do not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faas.core import sketches, slowest

DURATIONS = st.lists(st.one_of(st.integers(0, 300), st.integers(0, sketches.GREATEST)), max_size=60)


def told(parts: Sequence[Sequence[int]], per_mille: int) -> int | None:
    """What upper ends say that were put together as a database does it."""
    ends = b"".join(slowest.upper_end(sketches.packed(sketches.of(part))) for part in parts)
    return slowest.quantile(slowest.unpacked(ends), per_mille)


def exact(parts: Sequence[Sequence[int]], per_mille: int) -> int:
    together: Counter[int] = Counter()
    for part in parts:
        together.update(sketches.of(part))
    return sketches.quantiles(together, [per_mille])[0]


@given(st.lists(DURATIONS, max_size=8), st.sampled_from([990, 999]))
@example([[1] * 100, [500] * 100], 990)
@example([list(range(1_000)), [5_000] * 20], 990)
def test_what_upper_ends_tell_is_what_the_sketches_tell(parts: list[list[int]], per_mille: int) -> None:
    assert told(parts, per_mille) in (exact(parts, per_mille), None)


def test_of_days_that_are_alike_upper_ends_know_the_quantile() -> None:
    days = [[1_000 + (number * 7_919 + day) % 90_000 for number in range(200)] for day in range(30)]
    for per_mille in (990, 999):
        assert told(days, per_mille) == exact(days, per_mille)


def test_of_a_day_that_was_slower_as_a_whole_than_all_others_they_do_not_know_it() -> None:
    assert told([list(range(1_000)), list(range(10_000, 36_000, 2_000))], 990) is None


def test_of_a_month_with_two_slow_days_they_know_it() -> None:
    days = [[1_000 + (number * 7_919 + day) % 90_000 for number in range(200)] for day in range(28)]
    days += [[1_000_000 + (number * 9_973 + day) % 900_000 for number in range(200)] for day in range(2)]
    assert told(days, 990) == exact(days, 990)


def test_an_upper_end_is_short() -> None:
    assert len(slowest.upper_end(sketches.packed(sketches.of([7])))) == 8
    assert len(slowest.upper_end(sketches.packed(sketches.of(list(range(0, 30_000, 10)))))) < 80 * 8


@pytest.mark.parametrize("values", [[], [3], [3, 3, 200], list(range(2_000))])
def test_a_whole_sketch_is_added_to_upper_ends_as_it_is(values: list[int]) -> None:
    flat = sketches.packed(sketches.of(values))
    records = slowest.unpacked(slowest.upper_end(flat)) + slowest.records_of(flat)
    assert slowest.quantile(records, 999) == exact([values, values], 999)
