"""The shape of the route table: what the router serves and what the OpenAPI document says are the same rows."""

from __future__ import annotations

from typing import Any

import msgspec

from faas.api import answers, middleware

JSON = "application/json"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a request carries: a media type, and the type of its JSON (any JSON when None)."""

    media: str = JSON
    type: Any = None
    required: bool = True
    description: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One response of a route: its status, media type and the type of its JSON (opaque when None)."""

    status: int = 200
    media: str = JSON
    type: Any = None
    description: str = "Done."


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a method on a path (aiohttp's ``{name}`` notation) with its handler and what it takes and answers.

    ``errors`` are the statuses that it may answer besides 401, 429, 500 and 503.
    """

    method: str
    path: str
    handler: middleware.Handler
    summary: str
    responses: tuple[Response, ...]
    query: type[msgspec.Struct] = answers.NoQuery
    headers: dict[str, str] = {}
    body: Body | None = None
    errors: tuple[int, ...] = ()
