"""What functions printed. A follower asks for what is after its last line, and is answered when there is some."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, schemas, state
from faas.core import clock
from faas.store import logs

_LOOK_AGAIN_S = 0.2
"""The recorder that writes lines is another process, so a waiting request looks again this often."""


class LogsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines. With ``wait_ms`` an answer without lines comes only after that time."""

    function: str | None = None
    invocation_id: str | None = None
    since_ms: answers.Moment | None = None
    after_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    search: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0


async def log_lines(request: web.Request) -> web.Response:
    """The first ``limit`` lines that fit, in order."""
    asked = answers.query(request, LogsQuery)
    until = clock.steady_s() + asked.wait_ms / 1000
    found = await _lines(request.app, asked)
    while not found and clock.steady_s() < until:
        await asyncio.sleep(min(_LOOK_AGAIN_S, max(until - clock.steady_s(), 0)))
        found = await _lines(request.app, asked)
    next_id = found[-1].id if found else asked.after_id or 0
    return answers.json(schemas.LogLines(lines=tuple(found), next_id=next_id))


async def _lines(app: web.Application, asked: LogsQuery) -> list[logs.LogRow]:
    return await asyncio.to_thread(
        app[state.LOGS].lines,
        asked.function,
        asked.invocation_id,
        asked.since_ms,
        asked.after_id,
        asked.limit,
        asked.search,
    )
