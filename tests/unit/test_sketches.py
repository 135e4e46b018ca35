"""Sketches keep their stated error whatever is put into them, and adding them up loses nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import sketches

PER_MILLE = (500, 900, 950, 990, 999)
VALUES = st.lists(
    st.one_of(st.integers(0, 300), st.integers(0, 10_000_000), st.integers(0, sketches.GREATEST)), min_size=1
)


def nearest_ranks(values: list[int]) -> list[int]:
    ordered = sorted(values)
    return [ordered[-(-len(ordered) * each // 1000) - 1] for each in PER_MILLE]


def added(*parts: sketches.Sketch) -> sketches.Sketch:
    into: sketches.Sketch = {}
    for part in parts:
        sketches.add(into, sketches.packed(part))
    return into


@given(VALUES)
def test_a_quantile_is_within_the_stated_error_of_the_value_of_its_rank(values: list[int]) -> None:
    for exact, found in zip(nearest_ranks(values), sketches.quantiles(sketches.of(values), PER_MILLE), strict=True):
        assert abs(found - exact) <= exact * sketches.ERROR
        assert found == exact or exact >= 128


@given(VALUES, VALUES, VALUES)
def test_sketches_add_up_to_the_same_in_any_order(one: list[int], two: list[int], three: list[int]) -> None:
    a, b, c = sketches.of(one), sketches.of(two), sketches.of(three)
    whole = sketches.of(one + two + three)
    assert added(a, b, c) == added(c, added(b, a)) == added(added(a, c), b) == whole


@given(VALUES)
def test_a_packed_sketch_is_the_same_after_msgpack(values: list[int]) -> None:
    sketch = sketches.of(values)
    flat = msgspec.msgpack.decode(msgspec.msgpack.encode(sketches.packed(sketch)), type=list[int])
    assert added(sketch) == sketch
    into: sketches.Sketch = {}
    sketches.add(into, flat)
    assert into == sketch


@given(st.integers(0, sketches.GREATEST), st.integers(0, sketches.GREATEST))
def test_bins_are_in_the_order_of_their_values(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert sketches.bin_of(low) <= sketches.bin_of(high)
    assert sketches.value_of(sketches.bin_of(low)) <= sketches.value_of(sketches.bin_of(high))


def test_bins_are_next_to_one_another_and_few() -> None:
    edges = [1 << bits for bits in range(1, 63)]
    assert all(sketches.bin_of(edge) - sketches.bin_of(edge - 1) == 1 for edge in edges)
    assert sketches.bin_of(sketches.GREATEST) < 3_712


@pytest.mark.parametrize(("value", "counts_as"), [(-5, 0), (0, 0), (10**30, sketches.GREATEST)])
def test_what_no_clock_means_counts_as_the_least_or_the_greatest(value: int, counts_as: int) -> None:
    assert sketches.bin_of(value) == sketches.bin_of(counts_as)


def test_an_empty_sketch_has_no_quantiles() -> None:
    assert sketches.quantiles({}, PER_MILLE) == [0, 0, 0, 0, 0]
    assert sketches.packed({}) == []
