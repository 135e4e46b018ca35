"""Who may come in without the token: a browser with a session that has not ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from faas.api.entry import guessing, sessions
from faas.cluster import sessions as shared
from faas.core import clock, errors, groups
from faas.core.http import addresses

_TRUSTED_FOR_S = 2.0
"""For how long a session that had not ended counts as such, before Redis is asked again."""
_ANSWERS_WITHIN_S = 1.0
_MOST_REMEMBERED = 1_000

log = logging.getLogger(__name__)


class PageSessions:
    """The sessions of one control API: begun, looked at, ended."""

    def __init__(self, token: str, told: shared.Sessions, proxies: tuple[addresses.Network, ...]) -> None:
        self.key = sessions.SessionKey.of(token)
        self.token = token
        self.told = told
        self.guesses = guessing.Guesses()
        self._proxies = proxies
        self._ended: dict[str, int] = {}
        self._looked: dict[str, float] = {}

    def is_secure(self, request: web.Request) -> bool:
        """Whether the browser speaks https, by what a proxy says that is believed."""
        if request.secure or not addresses.is_within(request.remote or "", self._proxies):
            return request.secure
        # The nearest proxy is the last of a list; it says so in one field or the other.
        said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip()
        told = request.forwarded[-1].get("proto", "") if request.forwarded else ""
        return "https" in (said.lower(), told.lower())

    def address(self, request: web.Request) -> str:
        """By what wrong tokens are counted: the client's address, by what proxies say of it that are believed."""
        peer = request.remote or ""
        if not addresses.is_within(peer, self._proxies):
            return addresses.customer(peer)
        hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        if not any(map(str.strip, hops)):
            hops = [said["for"] for said in request.forwarded if "for" in said]
        return addresses.customer(addresses.client(peer, hops, self._proxies))

    def cookie(self, request: web.Request) -> str:
        """The name of the cookie. A browser takes this prefix for a promise that no other host, and no http, set it."""
        return f"__Host-{self.key.cookie}" if self.is_secure(request) else self.key.cookie

    async def session_of(self, request: web.Request) -> sessions.Session | None:
        """The session that a request has with it, when it is good. Its own page must have made the request.

        Raises `errors.Forbidden`.
        """
        value = request.cookies.get(self.cookie(request))
        session = self.key.read(value, clock.now_ms()) if value else None
        if session is None:
            return None
        sessions.refuse_forged(request.method, request.headers)
        return None if await self.has_ended(session) else session

    async def has_ended(self, session: sessions.Session) -> bool:
        """Whether a session is over or somebody logged out of it, as far as is known while Redis is away."""
        if session.id in self._ended or clock.now_ms() >= session.expires_at_ms:
            return True
        if clock.steady_s() - self._looked.get(session.id, -_TRUSTED_FOR_S) < _TRUSTED_FOR_S:
            return False
        has_ended = await self._ask(session)
        if has_ended:
            self._remember(session)
        else:
            _bound(self._looked)
            self._looked[session.id] = clock.steady_s()
        return has_ended

    async def end(self, session: sessions.Session) -> None:
        """Log out."""
        self._remember(session)
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                await self.told.end(session.id, session.expires_at_ms - clock.now_ms())
        except (errors.Unavailable, TimeoutError) as error:
            # The browser forgets its cookie all the same, and this process knows.
            log.warning("logout_not_told", extra={"reason": str(error) or "Redis is silent"})

    async def _ask(self, session: sessions.Session) -> bool:
        # Without Redis the page shows that Redis is away; that needs a session.
        with contextlib.suppress(errors.Unavailable, TimeoutError):
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                return await self.told.has_ended(session.id)
        return False

    def _remember(self, session: sessions.Session) -> None:
        _bound(self._ended)
        self._ended[session.id] = session.expires_at_ms


DOOR = web.AppKey("door", PageSessions)
SESSION = web.RequestKey("session", sessions.Session)
"""The session by which a request came in; not there when it has the token."""


async def by_session(request: web.Request) -> None:
    """Let a request in that has a session. Raises `errors.Unauthorized`, and `errors.Forbidden` for a forged one."""
    session = await request.app[DOOR].session_of(request)
    if session is None:
        raise errors.Unauthorized(
            "the token is missing or wrong",
            hint="send `Authorization: Bearer <token>`; the data directory holds it. In a browser, log in anew",
        )
    request[SESSION] = session


def _bound(remembered: dict[str, int] | dict[str, float]) -> None:
    if len(remembered) >= _MOST_REMEMBERED:
        del remembered[next(iter(remembered))]


async def hang(app: web.Application, token: str, redis: groups.Redis, proxies: str) -> AsyncIterator[None]:
    """Give an application its `DOOR`, until its end."""
    told = await shared.Sessions.open(redis.redis_url, redis.redis_prefix)
    app[DOOR] = PageSessions(token, told, addresses.networks(proxies, "trusted_proxies"))
    yield
    await app[DOOR].told.close()
