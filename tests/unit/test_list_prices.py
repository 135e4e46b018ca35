"""What the same work would have cost elsewhere, against sums worked out by hand and the rules of each price list."""

from __future__ import annotations

import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.api import list_prices
from faas.core import errors
from faas.core.money import comparing

AWS = list_prices.of("aws-lambda")
FC = list_prices.of("alibaba-fc")


def cost(price: comparing.ListPrice, memory_mb: int, requests: int, billed_ms: int) -> int:
    return comparing.cost_pico(price, [comparing.MemoryUse(memory_mb, requests, billed_ms)])


def test_a_gb_second_and_a_million_requests_cost_what_the_list_says() -> None:
    assert cost(AWS, 1024, 0, 1_000) == 16_666_700  # 0.0000166667 USD
    assert cost(AWS, 1024, 1_000_000, 0) == 200_000_000_000  # 0.20 USD
    # 1 vCPU-second for 4 GB is 1 CU, 4 GB-seconds are 0.6 CU, and a CU is 0.000020 USD.
    assert cost(FC, 4096, 0, 1_000) == 32_000_000
    assert cost(FC, 4096, 10_000, 0) == 75 * 20_000_000


def test_the_example_of_a_price_list_comes_out_as_it_says() -> None:
    # 3 million calls of 200 ms at 512 MB: 22,500 CU for calls, 45,000 for memory, and at the fewest vCPUs (0.15, one
    # for 4 GB in steps of 0.05) 90,000 for processors, at 0.000020 USD.
    assert cost(FC, 512, 3_000_000, 600_000_000) == (22_500 + 45_000 + 90_000) * 20_000_000


@pytest.mark.parametrize(("memory_mb", "counted_mb"), [(64, 128), (128, 128), (129, 129), (10_240, 10_240)])
def test_little_memory_counts_as_the_least_that_can_be_had(memory_mb: int, counted_mb: int) -> None:
    assert cost(AWS, memory_mb, 0, 1_024_000) == counted_mb * 16_666_700


@pytest.mark.parametrize(
    ("memory_mb", "counted_mb", "vcpu_milli"),
    [(64, 128, 50), (128, 128, 50), (129, 192, 50), (204, 256, 100), (256, 256, 100), (1024, 1024, 250)],
)
def test_memory_and_processors_come_in_steps(memory_mb: int, counted_mb: int, vcpu_milli: int) -> None:
    exact = Fraction(counted_mb, 1024) * 3_000_000 + Fraction(vcpu_milli, 1000) * 20_000_000
    assert cost(FC, memory_mb, 0, 1_000) == int(exact + Fraction(1, 2))


def test_what_nobody_knows_the_memory_of_is_left_out_and_counted() -> None:
    uses = [comparing.MemoryUse(0, 7, 900), comparing.MemoryUse(128, 1, 1)]
    assert comparing.cost_pico(AWS, uses) == cost(AWS, 128, 1, 1)
    assert comparing.unknown(uses) == 7


@given(st.lists(st.tuples(st.sampled_from([64, 128, 1000, 10_240]), st.integers(0, 10**9), st.integers(0, 10**12))))
def test_a_line_is_rounded_once(uses: list[tuple[int, int, int]]) -> None:
    for price in (AWS, FC):
        together = comparing.cost_pico(price, [comparing.MemoryUse(*use) for use in uses])
        apart = sum(cost(price, *use) for use in uses)
        assert abs(together - apart) <= len(uses)


@pytest.mark.parametrize("name", list_prices.table())
def test_a_price_list_says_where_it_is_from_and_what_it_leaves_out(name: str) -> None:
    price = list_prices.of(name)
    assert datetime.date.fromisoformat(price.dated) <= datetime.date(2026, 12, 31)
    assert all(source.startswith("https://") for source in price.sources)
    assert price.counts
    assert any("free" in each or "trial" in each for each in price.leaves_out)
    # Billed milliseconds are ours, which are rounded up to one: a list with other steps has to be counted otherwise.
    assert (price.duration_step_ms, price.currency) == (1, "USD")


def test_unknown_prices_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(errors.BadRequest) as refused:
        list_prices.of("moon")
    assert refused.value.hint == "there are aws-lambda, alibaba-fc"
