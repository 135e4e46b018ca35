"""What surrounds every handler: errors become bodies of one shape, and nobody comes in without the token."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from faas.api import answers, pages, refusals
from faas.api.entry import door
from faas.core import errors
from faas.core.http import hosts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN = web.AppKey("token", str)
NAMES = web.AppKey("names", frozenset[str])
"""The hosts by which requests may name the control API, beside addresses and names without a dot."""
_HEALTH = "/healthz"
OPEN_PATHS = frozenset({_HEALTH, "/api/v1/login"})
"""What needs no token and no session."""

log = logging.getLogger(__name__)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises, aiohttp's own errors included, into the one error body."""
    try:
        return await handler(request)
    except errors.FaasError as error:
        return answers.failure(error)
    except web.HTTPException as error:
        # A redirect is raised, too, and is no error.
        if error.status < 400:
            raise
        return refusals.answer(request, error)
    except web.RequestPayloadError as error:  # the body is not as its header says
        return answers.failure(refusals.of_parser(error.__cause__))
    except ConnectionResetError:  # the client has gone: there is nobody to answer, and nothing is wrong here
        raise
    except Exception:  # the last line of defence: the stack goes to the log, the caller gets a plain 500
        log.exception("request_failed", extra={"method": request.method, "path": request.path})
        return answers.failure(errors.FaasError("the control API failed", hint="its log says why"))


@web.middleware
async def strangers_refused(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another site makes a browser send, also by a name of its own that leads here."""
    if request.path != _HEALTH:
        host = request.headers.get("Host")
        own: frozenset[str] = request.app[NAMES]
        if host is not None:  # a browser always says it
            hosts.refuse_rebound(host, own)
        hosts.refuse_strange_origin(request.headers.get("Origin"), host or "")
    return await handler(request)


@web.middleware
async def token_required(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request without the platform's token as ``Authorization: Bearer``, or a session of its page."""
    is_open = request.path in OPEN_PATHS or pages.is_public(request)
    if not is_open and not _authorized(request):
        await door.by_session(request)
    return await handler(request)


@web.middleware
async def nul_refused(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse an address with a NUL: nothing is called so, and PostgreSQL takes none."""
    if "\0" in request.path or "\0" in request.rel_url.query_string:
        raise errors.BadRequest("the address holds a NUL character", hint="see /api/v1/openapi.json")
    return await handler(request)


def _authorized(request: web.Request) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = request.app[TOKEN].encode()
    # In a time that does not tell how much of it was right.
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(errors="replace"), expected)
