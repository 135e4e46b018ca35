"""All functions on one page: figures of a time, what is at work, and a line over time for each that is shown.

Names are sorted and searched here, by counts that are added up where they lie. Quantiles and lines, which take longer,
are made for the few that are shown; only an order by quantiles needs those of all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from faas.api import answers, schemas, slow, state, views
from faas.api.resources import stats
from faas.core import clock, errors, moments
from faas.store import rollups

PIECES = 30
"""Pieces of time of a line, at most."""
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_STEPS_MS = (
    *(minutes * _MINUTE_MS for minutes in (1, 2, 5, 10, 30)),
    *(hours * _HOUR_MS for hours in (1, 2, 4, 6, 12)),
    *(days * _DAY_MS for days in (1, 2, 7, 14, 28)),
)
Sort = Literal["name", "rate", "errors", "p50", "p99", "cold", "cost"]
Ranks = Mapping[str, int]
"""What functions are sorted by: a figure of each that has one."""

_KEPT_S = 5.0
_MOST_KEPT = 16


class KeptRanks:
    """Ranks of a moment ago: pages ask again every few seconds, and those of 10,000 functions take a third of one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[tuple[str, Sort], tuple[float, Ranks]] = {}

    def get(self, since: str, sort: Sort, make: Callable[[], Ranks]) -> Ranks:
        """The ranks by a figure for a time, as that was written; one makes them anew while others wait."""
        with self._lock:
            # Taken out and put in again at the end, so the first of the dict is what nobody has asked for longest.
            made_s, ranks = self._of.pop((since, sort), (-_KEPT_S, {}))
            if clock.steady_s() - made_s >= _KEPT_S:
                made_s, ranks = clock.steady_s(), make()
            self._of[since, sort] = made_s, ranks
            while len(self._of) > _MOST_KEPT:
                del self._of[next(iter(self._of))]
            return ranks


KEPT = web.AppKey("kept_ranks", KeptRanks)


class OverviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which functions, of which time, in which order: ``limit`` of them after the first ``offset``.

    ``since`` is an age (``1h``), a moment or Unix milliseconds. ``search`` is a part of the name.
    """

    since: str = "1h"
    sort: Sort = "name"
    desc: bool = False
    search: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


async def overview(request: web.Request) -> web.Response:
    """The functions that fit."""
    asked = answers.query(request, OverviewQuery)
    now_ms = clock.now_ms()
    since_ms = moments.moment_ms(asked.since, now_ms)
    if since_ms > now_ms:
        raise errors.BadRequest("query: since: it is in the future")
    at_work = await _at_work(request.app)
    return await slow.json(request.app, lambda: _answer(request.app, asked, since_ms, now_ms, at_work))


async def _at_work(app: web.Application) -> Mapping[str, schemas.functions.Places] | None:
    """What waits and runs, by function; None while Redis is away: what was recorded is shown all the same."""
    try:
        return views.places(await app[state.CALLS].active_places(), ())
    except errors.Unavailable:
        return None


def _answer(
    app: web.Application,
    asked: OverviewQuery,
    since_ms: int,
    until_ms: int,
    at_work: Mapping[str, schemas.functions.Places] | None,
) -> schemas.stats.Overview:
    book, revisions = app[state.ROLLUPS], app[state.FUNCTIONS].numbers()
    names = found(revisions, asked.search)
    ranks = app[KEPT].get(asked.since, asked.sort, lambda: _ranks(book, asked.sort, since_ms, until_ms))
    ordered = in_order(names, asked.sort, ranks, desc=asked.desc)
    shown = ordered[asked.offset : asked.offset + asked.limit]
    figures = {each.name: each.figures for each in book.summary(since_ms, until_ms, "function", shown)}
    step_ms = step(until_ms - since_ms)
    lines = _lines(book, shown, since_ms, until_ms, step_ms)
    firing = app[state.ALARMS].firing()
    return schemas.stats.Overview(
        total=len(ordered),
        since_ms=since_ms,
        until_ms=until_ms,
        every_ms=step_ms,
        functions=tuple(
            _row(
                name,
                revisions[name],
                figures.get(name, rollups.Figures()),
                at_work,
                alarms=firing.get(name, 0),
                line=lines[name],
            )
            for name in shown
        ),
    )


def found(names: Mapping[str, int], search: str) -> list[str]:
    """The names that hold a text, whatever its case."""
    wanted = search.strip().lower()
    return sorted(name for name in names if wanted in name.lower())


def in_order(names: Sequence[str], sort: Sort, ranks: Ranks, *, desc: bool) -> list[str]:
    """Names by a figure, and by themselves where it is the same; those without come as if it were 0."""
    if sort == "name":
        return sorted(names, reverse=desc)
    sign = -1 if desc else 1
    return sorted(names, key=lambda name: (sign * ranks.get(name, 0), name))


def step(span_ms: int) -> int:
    """How long a piece of a line over so much time is: what people read well, and few enough of them."""
    return next((each for each in _STEPS_MS if each * PIECES >= span_ms), -(-span_ms // PIECES // _DAY_MS) * _DAY_MS)


def _ranks(book: rollups.Rollups, sort: Sort, since_ms: int, until_ms: int) -> Ranks:
    if sort == "name":
        return {}
    return stats.by_figure(book, "calls" if sort == "rate" else sort, since_ms, until_ms)


def _lines(
    book: rollups.Rollups, names: Sequence[str], since_ms: int, until_ms: int, step_ms: int
) -> dict[str, tuple[int, ...]]:
    first_ms = since_ms // step_ms * step_ms
    pieces = (until_ms - first_ms) // step_ms + 1
    lines = {name: [0] * pieces for name in names}
    for series in book.series(since_ms, until_ms, step_ms, "function", names, with_quantiles=False) if names else ():
        for point in series.points:
            # A longer piece, where shorter ones are kept no more, begins before the first.
            place = min(max((point.at_ms - first_ms) // step_ms, 0), pieces - 1)
            lines[series.name][place] += point.figures.count
    return {name: tuple(line) for name, line in lines.items()}


def _row(
    name: str,
    revision: int,
    figures: rollups.Figures,
    at_work: Mapping[str, schemas.functions.Places] | None,
    *,
    alarms: int,
    line: tuple[int, ...],
) -> schemas.stats.OverviewRow:
    places = None if at_work is None else at_work.get(name)
    return schemas.stats.OverviewRow(
        name=name,
        revision=revision,
        count=figures.count,
        errors=figures.errors,
        cold_starts=figures.cold_starts,
        cost_pico=figures.cost_pico,
        p50_us=figures.duration_us.p50,
        p99_us=figures.duration_us.p99,
        waiting=None if at_work is None else places.waiting if places else 0,
        running=None if at_work is None else places.running if places else 0,
        alarms=alarms,
        spark=line,
    )
