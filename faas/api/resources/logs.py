"""What functions printed. A follower asks for what is after its last line, and is answered when there is some."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, slow, state
from faas.api.live import live_lines
from faas.core import clock, durations, errors, model
from faas.core.logs import filters, log_lines
from faas.store import logs

MOST_LINES = 10_000
"""Lines of one answer."""

MOST_FUNCTIONS = 100
"""Functions of one question."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=filters.MOST_TEXT)]
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class LogsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines. With ``wait_ms`` an answer without lines comes only after that time.

    With ``tail`` the last so many that fit come at once, of those before the line ``before`` if it is given; ``next``
    is where a follower goes on. ``function``, ``status`` and ``where`` may stand there several times: functions and
    statuses add up, and all conditions must hold. ``grep`` is text that a line contains, whatever its case, ``level``
    the least, ``root`` any invocation of a chain. ``since`` and ``until`` are Unix milliseconds, or an age such as
    ``10m``. With ``live`` lines come as they are printed, too; they have the id 0. ``invocation_id``, ``since_ms``,
    ``until_ms``, ``after_id`` and ``search`` are older names of ``invocation``, ``since``, ``until``, ``after`` and
    ``grep``.
    """

    function: tuple[str, ...] = ()
    invocation: str | None = None
    root: str | None = None
    level: Literal["debug", "info", "warning", "error", "critical"] | None = None
    status: tuple[model.Status, ...] = ()
    grep: _Text | None = None
    where: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    after: str | None = None
    before: _Id | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LINES)] = 1_000
    tail: Annotated[int, msgspec.Meta(ge=0, le=MOST_LINES)] | None = None
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0
    live: bool = False
    invocation_id: str | None = None
    since_ms: answers.Moment | None = None
    until_ms: answers.Moment | None = None
    after_id: _Id | None = None
    search: str | None = None


async def log_lines_of(request: web.Request) -> web.Response:
    """The first ``limit`` lines that fit, or the last ``tail``, in order."""
    asked = answers.query(request, LogsQuery)
    wanted = await _wanted(request.app, asked)
    if asked.tail is not None:
        lines = await _tail(request.app, asked, wanted, asked.tail)
    else:
        lines = await _after(request.app, asked, wanted)
    return await slow.json(request.app, lambda: lines)


async def _after(app: web.Application, asked: LogsQuery, wanted: filters.LogFilter) -> schemas.logs.LogLines:
    """Lines after a place, as soon as there are some or the time is up."""
    at = live_lines.place(asked.after) if asked.after is not None else live_lines.Place(asked.after_id or 0)
    live = app[live_lines.LIVE]
    until_s = clock.steady_s() + asked.wait_ms / 1000
    while True:
        if asked.live:
            live.want(wanted.functions)
        found = await slow.asked(app, app[state.LOGS].find, wanted, after_id=at.id, limit=asked.limit)
        heard, number = await _heard(app, at, wanted) if asked.live else ([], at.number)
        left_s = until_s - clock.steady_s()
        reached = max(at.id, found.reached_id)
        if found.lines or heard or found.is_cut or left_s <= 0:
            then = msgspec.structs.replace(live.place(reached), number=number) if asked.live else reached
            return _answer([*found.lines, *heard], found, reached, str(then))
        # What was looked at and does not fit is not looked at again.
        at = msgspec.structs.replace(live.place(reached), number=number) if asked.live else live_lines.Place(reached)
        pause_s = min(live_lines.LOOK_EVERY_S, left_s)
        await (live.wait(at, wanted, pause_s) if asked.live else asyncio.sleep(pause_s))


async def _heard(
    app: web.Application, at: live_lines.Place, wanted: filters.LogFilter
) -> tuple[list[log_lines.LogRow], int]:
    """The lines that were printed after a place and fit, and the number up to which was looked."""
    newer, number = app[live_lines.LIVE].newer(at, wanted), app[live_lines.LIVE].now
    if len(newer) <= live_lines.FEW:
        return live_lines.fitting(newer, wanted), number
    return await slow.asked(app, live_lines.fitting, newer, wanted), number


async def _tail(app: web.Application, asked: LogsQuery, wanted: filters.LogFilter, most: int) -> schemas.logs.LogLines:
    # Asked first: what is written between the two questions is among the lines, or comes after the id.
    last_id = await asyncio.to_thread(app[state.LOGS].last_id)
    then = app[live_lines.LIVE].place(last_id)
    if not most:
        return schemas.logs.LogLines(lines=(), next_id=last_id, next=str(then))
    after = live_lines.place(asked.after).id if asked.after is not None else asked.after_id or 0
    found = await slow.asked(
        app, app[state.LOGS].find, wanted, after_id=after, before_id=asked.before, limit=most, newest=True
    )
    # Lines written after the first question may be among those found; a follower must not get them again.
    next_id = max(last_id, found.lines[-1].id) if found.lines and asked.before is None else last_id
    return _answer(list(found.lines), found, next_id, str(msgspec.structs.replace(then, id=next_id)))


def _answer(lines: list[log_lines.LogRow], found: logs.FoundLines, next_id: int, then: str) -> schemas.logs.LogLines:
    return schemas.logs.LogLines(
        lines=tuple(lines),
        next_id=next_id,
        next=then,
        is_cut=found.is_cut,
        reached_id=found.reached_id if found.is_cut else None,
        reached_ms=found.reached_ms,
    )


async def _wanted(app: web.Application, asked: LogsQuery) -> filters.LogFilter:
    """What is asked for, with whole ids. Raises `errors.BadRequest`."""
    if len(asked.function) > MOST_FUNCTIONS:
        raise errors.BadRequest(f"query: there are {len(asked.function)} functions; {MOST_FUNCTIONS} may be")
    invocation = asked.invocation or asked.invocation_id
    return filters.LogFilter(
        functions=asked.function,
        invocation_id=None if invocation is None else await beginnings.of_invocation(app, invocation),
        root_id=None if asked.root is None else await _root(app, asked.root),
        level=None if asked.level is None else log_lines.LEVELS[asked.level],
        statuses=tuple(status.value for status in asked.status),
        grep=asked.grep or asked.search or None,
        where=filters.conditions(asked.where),
        since_ms=asked.since_ms if asked.since is None else _moment("since", asked.since),
        until_ms=asked.until_ms if asked.until is None else _moment("until", asked.until),
    )


async def _root(app: web.Application, given: str) -> str:
    """The first invocation of the chain that this one belongs to."""
    invocation_id = await beginnings.of_invocation(app, given)
    records = await asyncio.to_thread(app[state.LEDGER].get, invocation_id)
    return next((record.root_id for record in records if record.root_id), invocation_id)


def _moment(name: str, text: str) -> int:
    """Unix milliseconds, or an age."""
    if text.isdecimal() and len(text) <= len(str(answers.LATEST_MS)):
        # An upper bound that is too late means "up to the end", so it is no mistake.
        return min(int(text), answers.LATEST_MS)
    age_ms = durations.age_ms(text)
    if age_ms is None:
        raise errors.BadRequest(f"query: {name}: {text[:50]!r} is no moment", hint="Unix milliseconds, or an age: 10m")
    return max(clock.now_ms() - age_ms, 0)
