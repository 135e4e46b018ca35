"""Figures over time, from roll-ups: what `faas stats` and the page show."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from faas.api import answers, schemas, slow, state, views
from faas.core import clock, errors, moments
from faas.store import rollups

_DAY_MS = 86_400_000
_MOST_POINTS = 100_000
_PER_MILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}

Sort = Literal["name", "calls", "errors", "cold", "cost", "p50", "p90", "p95", "p99", "p999"]


class StatsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which attempts, by when they ended: of the last day when nothing is said of the time.

    ``since`` and ``until`` are ages (``30d``), moments (``2026-01-31``) or Unix milliseconds; ``every`` cuts the time
    into pieces (``1h``), which begin at its multiples since 1970. ``by`` says what is added up: each function,
    revision, trigger, status or kind of cold start, or all. ``sort`` puts first the most of a figure (durations, for
    ``p50`` to ``p999``). With ``quantiles=false`` series come quicker, and theirs are 0.
    """

    function: str | None = None
    since: str | None = None
    until: str | None = None
    every: str | None = None
    by: rollups.By = "function"
    sort: Sort = "name"
    quantiles: bool = True
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000
    since_ms: answers.Moment | None = None
    until_ms: answers.Moment | None = None


async def stats(request: web.Request) -> web.Response:
    """Counts and percentiles by name, and, with ``every``, over time."""
    asked = answers.query(request, StatsQuery)
    return await slow.json(request.app, lambda: _answer(request.app[state.ROLLUPS], asked))


def _answer(book: rollups.Rollups, asked: StatsQuery) -> schemas.stats.StatsAnswer:
    since_ms, until_ms = _times(asked, clock.now_ms())
    total, found = _summaries(book, asked, since_ms, until_ms)
    times = book.times(since_ms, until_ms)
    every_ms: int | None = None
    series: tuple[schemas.stats.Series, ...] = ()
    if asked.every is not None:
        # Not simply what was asked for: of long ago only hours or days are kept.
        every_ms = book.times(since_ms, until_ms, moments.span_ms(asked.every)).every_ms or 0
        # Of functions those alone are drawn that are shown; of all else whatever there is, so that all of it counts.
        drawn_names = len(found) if asked.by == "function" else total
        _require_few(drawn_names, (times.until_ms - times.since_ms) // every_ms + 1)
        names = [each.name for each in found] if asked.by == "function" else asked.function
        drawn = book.series(since_ms, until_ms, every_ms, asked.by, names, with_quantiles=asked.quantiles)
        series = tuple(views.series(each) for each in drawn)
    return schemas.stats.StatsAnswer(
        since_ms=times.since_ms,
        until_ms=times.until_ms,
        every_ms=every_ms,
        total=total,
        is_filling=book.is_filling(),
        functions=tuple(views.stats(each, asked.by, asked.function) for each in found),
        series=series,
    )


def _times(asked: StatsQuery, now_ms: int) -> tuple[int, int]:
    since_ms = asked.since_ms if asked.since is None else moments.moment_ms(asked.since, now_ms)
    until_ms = asked.until_ms if asked.until is None else moments.moment_ms(asked.until, now_ms)
    until_ms = now_ms if until_ms is None else until_ms
    since_ms = max(min(until_ms, now_ms) - _DAY_MS, 0) if since_ms is None else since_ms
    if since_ms > until_ms:
        raise errors.BadRequest("query: since: it is later than the end of the time")
    return since_ms, until_ms


def _require_few(names: int, pieces: int) -> None:
    if pieces * max(names, 1) > _MOST_POINTS:
        raise errors.BadRequest(
            f"query: every: {pieces:,} pieces of time of {names:,} names are too many",
            hint="ask for one function, for a lower `limit`, or for longer pieces",
        )


def _summaries(
    book: rollups.Rollups, asked: StatsQuery, since_ms: int, until_ms: int
) -> tuple[int, list[rollups.Summary]]:
    """How many names there are, and the first of them in the order that is asked for."""
    if asked.by == "function" and asked.function is None:
        # Of many functions all figures are made only for those that are shown: quantiles are what takes long.
        ranks = by_figure(book, asked.sort, since_ms, until_ms)
        names = sorted(ranks, key=lambda name: (-ranks[name], name))[: asked.limit]
        found, total = book.summary(since_ms, until_ms, asked.by, names), len(ranks)
    else:
        found = book.summary(since_ms, until_ms, asked.by, asked.function)
        total = len(found)
    found.sort(key=lambda each: (-_figure(each.figures, asked.sort), each.name))
    return total, found[: asked.limit]


def by_figure(book: rollups.Rollups, sort: Sort, since_ms: int, until_ms: int) -> dict[str, int]:
    """The figure of each function that has one, by which functions are put in order. Blocks."""
    if sort in _PER_MILLE:
        return book.durations(since_ms, until_ms, _PER_MILLE[sort])
    return {name: _counted(counts, sort) for name, counts in book.counts(since_ms, until_ms).items()}


def _counted(counts: rollups.ExactFigures, sort: str) -> int:
    figures = {"calls": counts.count, "errors": counts.errors, "cold": counts.cold_starts, "cost": counts.cost_pico}
    return figures.get(sort, 0)


def _figure(figures: rollups.Figures, sort: str) -> int:
    if sort in _PER_MILLE:
        return int(getattr(figures.duration_us, sort))
    return _counted(rollups.ExactFigures.of(figures), sort)
