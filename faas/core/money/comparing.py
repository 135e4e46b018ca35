"""What the same work would have cost at another's list prices. Pure functions, in whole pico-units.

A line of a bill is rounded once, half up; the total of a comparison is the sum of its lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import msgspec

_MB_PER_GB = 1024
_MS_PER_S = 1000
_MILLI = 1000


class MemoryUse(msgspec.Struct, frozen=True):
    """Billed attempts that had the same memory, and their billed milliseconds. Memory 0 is one that nobody knows."""

    memory_mb: int
    requests: int
    billed_ms: int


class ListPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price list of functions that run on demand, in pico-units (10^-12) of its currency.

    Memory is charged in steps of ``memory_step_mb``, from ``least_memory_mb`` on. Where processors are charged apart
    (``vcpu_s_pico``), a function gets one for each ``most_gb_per_vcpu`` GB, in steps of ``vcpu_step_milli``: the fewest
    that can be had with its memory.
    """

    title: str
    region: str
    architecture: str
    dated: str
    sources: tuple[str, ...]
    currency: str
    request_pico: int
    gb_s_pico: int
    least_memory_mb: int
    memory_step_mb: int
    duration_step_ms: int
    vcpu_s_pico: int = 0
    most_gb_per_vcpu: int = 1
    vcpu_step_milli: int = 1
    counts: tuple[str, ...]
    leaves_out: tuple[str, ...]


def cost_pico(price: ListPrice, uses: Iterable[MemoryUse]) -> int:
    """What these attempts would have cost; those whose memory nobody knows are left out."""
    exact = sum((_cost(price, use) for use in uses if use.memory_mb), Fraction(0))
    return int(exact + Fraction(1, 2))


def unknown(uses: Iterable[MemoryUse]) -> int:
    """How many billed attempts cannot be compared."""
    return sum(use.requests for use in uses if not use.memory_mb)


def _cost(price: ListPrice, use: MemoryUse) -> Fraction:
    memory_mb = max(_stepped(use.memory_mb, price.memory_step_mb), price.least_memory_mb)
    gb_s = Fraction(memory_mb * use.billed_ms, _MB_PER_GB * _MS_PER_S)
    cost = use.requests * price.request_pico + gb_s * price.gb_s_pico
    if price.vcpu_s_pico:
        cost += Fraction(_vcpu_milli(price, memory_mb) * use.billed_ms, _MILLI * _MS_PER_S) * price.vcpu_s_pico
    return Fraction(cost)


def _vcpu_milli(price: ListPrice, memory_mb: int) -> int:
    return _stepped(-(-memory_mb * _MILLI // (_MB_PER_GB * price.most_gb_per_vcpu)), price.vcpu_step_milli)


def _stepped(amount: int, step: int) -> int:
    return -(-amount // step) * step
