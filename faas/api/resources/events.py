"""``GET /api/v1/events``: what happens as server-sent events, until the client goes or its session ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import msgspec
from aiohttp import web

from faas.api import answers
from faas.api.entry import door
from faas.api.live import happening, hub

HUB = web.AppKey("hub", hub.Hub)

_HEARTBEAT_S = 10.0
_OPENING = b"retry: 2000\n: events of faas\n\n"
_HEARTBEAT = b": \n\n"
_HEADERS = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
"""The latter keeps nginx, where it stands before the control API, from collecting events before it sends them."""
_UNASKED = frozenset({"record", "status", "alarm"})


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: all but lines when no ``types`` are given, and lines too of a ``function`` or ``invocation``.

    ``types`` may come several times: ``record``, ``log``, ``status``, ``alarm``.
    """

    function: str | None = None
    invocation: str | None = None
    types: tuple[Literal["record", "log", "status", "alarm"], ...] = ()


async def told(app: web.Application) -> AsyncIterator[None]:
    """Have a hub; end it with the application."""
    app[HUB] = happening.hub(app)
    yield
    await app[HUB].close()


async def events(request: web.Request) -> web.StreamResponse:
    """Tell of what happens from now on."""
    wish = _wish(answers.query(request, EventsQuery))
    async with request.app[HUB].listening(wish) as listener:
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        await response.write(_OPENING)
        while not listener.is_over and not await _has_ended(request):
            await response.write(await listener.next(_HEARTBEAT_S) or _HEARTBEAT)
        return response


def _wish(asked: EventsQuery) -> hub.EventWish:
    of_one = asked.function is not None or asked.invocation is not None
    types: frozenset[str] = frozenset(asked.types) or (hub.TYPES if of_one else _UNASKED)
    return hub.EventWish(types, asked.function, asked.invocation)


async def _has_ended(request: web.Request) -> bool:
    session = request.get(door.SESSION)
    return session is not None and await request.app[door.DOOR].has_ended(session)
