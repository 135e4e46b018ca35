"""Figures of functions over time."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Doc = msgspec.Meta


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest ranks, less than 1% away from the attempt that they name; 0 when there is none."""

    p50: float
    p90: float
    p95: float
    p99: float
    p999: Annotated[float, _Doc(description="Of a thousand attempts 999 took no longer.")]


class Ranks(msgspec.Struct, frozen=True, kw_only=True):
    """The same in whole units."""

    p50: int
    p90: int
    p95: int
    p99: int
    p999: int


class FunctionStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of one function were like, or of another name that they were added up by."""

    function: str | None
    name: str
    count: int
    errors: Annotated[int, _Doc(description="Attempts that did not end `ok`.")]
    cold_starts: int
    billed_ms: int
    cost_pico: Annotated[int, _Doc(description="Exact, in pico-units: 10^-12 of the currency.")]
    duration_ms: Annotated[Percentiles, _Doc(description="Of attempts that ran.")]
    queue_ms: Percentiles
    init_ms: Annotated[Percentiles, _Doc(description="Of attempts that started cold.")]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts that ended within `every_ms` from `at_ms` on."""

    at_ms: int
    count: int
    errors: int
    cold_starts: int
    billed_ms: int
    cost_pico: int
    duration_us: Ranks
    queue_ms: Ranks
    init_ms: Ranks


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One name over time; pieces of time in which nothing ended have no point."""

    name: str
    points: tuple[Point, ...]


class StatsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the attempts that ended in this time, which begins and ends on whole minutes, hours or days."""

    since_ms: int
    until_ms: int
    every_ms: Annotated[int | None, _Doc(description="Longer than asked for where shorter figures are kept no more.")]
    total: Annotated[int, _Doc(description="Names that there are; `functions` has the first `limit` of them.")]
    is_filling: Annotated[bool, _Doc(description="Whether records of before an upgrade are still being added.")]
    functions: tuple[FunctionStats, ...]
    series: tuple[Series, ...]


class OverviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """One function: its attempts of the time, and what it has at work now. Null while Redis is away."""

    name: str
    revision: int
    count: int
    errors: int
    cold_starts: int
    cost_pico: int
    p50_us: int
    p99_us: int
    waiting: int | None
    running: int | None
    alarms: Annotated[int, _Doc(description="Its alarms that are firing.")]
    spark: Annotated[tuple[int, ...], _Doc(description="Attempts in each piece of `every_ms`, the oldest first.")]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Functions with their figures. ``total`` are those that fit the search, on this page or not."""

    total: int
    since_ms: int
    until_ms: int
    every_ms: int
    functions: tuple[OverviewRow, ...]
