"""Reading what a request asks and writing the answer: the few lines that every handler shares."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_origin

import msgspec
from aiohttp import web

from faas.core import errors
from faas.core.http import headers as names
from faas.core.values import json_words

T = TypeVar("T")

LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: what is later is no moment that anybody means."""

Moment = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
"""Unix milliseconds."""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a route that takes none."""


def json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer from any struct or plain value."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, headers=headers, content_type="application/json"
    )


def query(request: web.Request, kind: type[T]) -> T:
    """The query string as a struct. Raises `errors.BadRequest` for keys and values that it does not know.

    A key may come again where the struct has a tuple: then its values add up.
    """
    given: dict[str, Any] = {}
    lists = _lists(kind)
    for key, value in request.query.items():
        if key in lists:
            given.setdefault(key, []).append(value)
        # Of two values one would win, and whoever sent both may have meant the other.
        elif key in given:
            raise errors.BadRequest(f"query: {key} stands there twice", key=key)
        else:
            given[key] = value
    try:
        # Not strictly: in a query all is text.
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise errors.BadRequest(f"query: {json_words.why(error)}", hint="see /api/v1/openapi.json") from error


def _lists(kind: type[Any]) -> frozenset[str]:
    """The keys of a query whose values add up."""
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind) if get_origin(field.type) is tuple)


def failure(error: errors.FaasError, headers: dict[str, str] | None = None) -> web.Response:
    """The one shape of every error answer."""
    headers = {names.ERROR: error.fault.in_header, **(headers or {})}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if "invocation_id" in error.data:
        headers[names.INVOCATION_ID] = str(error.data["invocation_id"])
    return json(error.body(), status=error.http_status, headers=headers)
