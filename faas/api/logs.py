"""What functions printed. A follower asks for what is after its last line, and is answered when there is some."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, state
from faas.core import clock
from faas.store import logs

MOST_LINES = 10_000
"""Lines of one answer."""

_LOOK_AGAIN_S = 0.2
"""The recorder that writes lines is another process, so a waiting request looks again this often."""


class LogsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines. With ``wait_ms`` an answer without lines comes only after that time.

    With ``tail`` the last so many that fit come at once, and ``next_id`` is where a follower goes on.
    """

    function: str | None = None
    invocation_id: str | None = None
    since_ms: answers.Moment | None = None
    until_ms: answers.Moment | None = None
    after_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    search: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LINES)] = 1_000
    tail: Annotated[int, msgspec.Meta(ge=0, le=MOST_LINES)] | None = None
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0


async def log_lines(request: web.Request) -> web.Response:
    """The first ``limit`` lines that fit, or the last ``tail``, in order."""
    asked = answers.query(request, LogsQuery)
    if asked.invocation_id is not None:
        invocation_id = await beginnings.of_invocation(request.app, asked.invocation_id)
        asked = msgspec.structs.replace(asked, invocation_id=invocation_id)
    if asked.tail is not None:
        return answers.json(await _tail(request.app, asked, asked.tail))
    until = clock.steady_s() + asked.wait_ms / 1000
    found = await _lines(request.app, asked)
    while not found and clock.steady_s() < until:
        await asyncio.sleep(min(_LOOK_AGAIN_S, max(until - clock.steady_s(), 0)))
        found = await _lines(request.app, asked)
    next_id = found[-1].id if found else asked.after_id or 0
    return answers.json(schemas.LogLines(lines=tuple(found), next_id=next_id))


async def _tail(app: web.Application, asked: LogsQuery, most: int) -> schemas.LogLines:
    # Asked first: what is written between the two questions is among the lines, or comes after the id.
    last_id = await asyncio.to_thread(app[state.LOGS].last_id)
    found = await _lines(app, msgspec.structs.replace(asked, limit=most), newest=True) if most else []
    return schemas.LogLines(lines=tuple(found), next_id=found[-1].id if found else last_id)


async def _lines(app: web.Application, asked: LogsQuery, *, newest: bool = False) -> list[logs.LogRow]:
    return await asyncio.to_thread(
        app[state.LOGS].lines,
        asked.function,
        asked.invocation_id,
        asked.since_ms,
        asked.after_id,
        asked.limit,
        asked.search,
        asked.until_ms,
        newest=newest,
    )
