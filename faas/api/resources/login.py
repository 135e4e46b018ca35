"""Sessions of the page over HTTP: begun by the token or by a one-time code, looked at, ended."""

from __future__ import annotations

import hmac
import secrets

import msgspec
from aiohttp import web

from faas.api import answers, schemas
from faas.api.entry import door, sessions
from faas.core import clock, errors
from faas.core.values import json_words, unreadable

_MAX_BODY_BYTES = 4_096


async def log_in(request: web.Request) -> web.Response:
    """Begin a session. Raises `errors.Unauthorized` for a wrong token or code, and `errors.Throttled` for many."""
    asked, own = await _asked(request), request.app[door.DOOR]
    if asked.code is not None:
        # Nobody guesses a code, so that who has one gets in while somebody from his address tries tokens.
        if not await own.told.take(sessions.digest(asked.code)):
            raise errors.Unauthorized(
                "this link was used already, or is over a minute old",
                hint="`faas open` makes a new one; or use the token",
            )
    else:
        _check_token(own, asked.token or "", own.address(request))
    begun = own.key.begin(clock.now_ms())
    answer = answers.json(schemas.sessions.Session(begun.expires_at_ms))
    answer.set_cookie(
        own.cookie(request),
        own.key.sign(begun),
        max_age=sessions.LASTS_MS // 1_000,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=own.is_secure(request),
    )
    return answer


async def offer_code(request: web.Request) -> web.Response:
    """A new one-time code, for who has the token: a session cannot prolong itself by one."""
    if door.SESSION in request:
        # Otherwise who has a session for a moment could have one for ever.
        raise errors.Forbidden("codes are made by the token, not by a session", hint="`faas open` makes one")
    code = secrets.token_urlsafe(32)
    await request.app[door.DOOR].told.offer(sessions.digest(code), sessions.CODE_LASTS_MS)
    return answers.json(schemas.sessions.LoginCode(code, clock.now_ms() + sessions.CODE_LASTS_MS))


async def session(request: web.Request) -> web.Response:
    """Until when the caller is logged in."""
    found = request.get(door.SESSION)
    return answers.json(schemas.sessions.Session(None if found is None else found.expires_at_ms))


async def log_out(request: web.Request) -> web.Response:
    """End the session of the cookie; with the token there is none to end."""
    own, found = request.app[door.DOOR], request.get(door.SESSION)
    # With the cookie alone gone, a copy of it would be good until it is over.
    if found is not None:
        await own.end(found)
    answer = web.Response(status=204)
    answer.del_cookie(own.cookie(request), path="/", httponly=True, samesite="Strict", secure=own.is_secure(request))
    return answer


async def _asked(request: web.Request) -> schemas.sessions.Login:
    if request.content_type != "application/json":  # what a form of another page could send without asking
        raise errors.BadRequest(f"the body: found {request.content_type}, expected application/json")
    body = await request.content.read(_MAX_BODY_BYTES + 1)
    while len(body) <= _MAX_BODY_BYTES and (more := await request.content.read(_MAX_BODY_BYTES)):
        body += more
    if len(body) > _MAX_BODY_BYTES:
        raise errors.TooLarge(f"a login is over {_MAX_BODY_BYTES} bytes", limit=_MAX_BODY_BYTES)
    try:
        asked = msgspec.json.decode(body, type=schemas.sessions.Login)
    except unreadable.ERRORS as error:
        raise errors.BadRequest(f"the body: {json_words.why(error)}") from error
    if (asked.token is None) == (asked.code is None):
        raise errors.BadRequest("the body: expected a token or a code")
    return asked


def _check_token(own: door.PageSessions, token: str, address: str) -> None:
    # Before the token is compared: after too many wrong ones a right one is refused, too, and says nothing.
    own.guesses.refuse(address, clock.steady_s())
    if not hmac.compare_digest(token.strip().encode(errors="replace"), own.token.encode()):
        own.guesses.wrong(address, clock.steady_s())
        raise errors.Unauthorized("this is not the platform's token", hint="`faas up` prints where its file is")
