"""What control APIs tell one another of sessions of the page: one-time codes, and which sessions were ended early."""

from __future__ import annotations

import redis.asyncio

from faas.link import client as redis_client
from faas.queue import keys as keyring


class Sessions:
    """Codes that were offered, and sessions that were ended. Every method raises `errors.Unavailable`."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys) -> None:
        self._client = client
        self._keys = keys

    @classmethod
    async def open(cls, redis_url: str, prefix: str) -> Sessions:
        """Over a connection of its own, made at the first command."""
        return cls(redis_client.connect(redis_url), keyring.Keys(prefix))

    async def offer(self, digest: str, lasts_ms: int) -> None:
        """Let a code be taken, once, within a time. Its digest alone is told."""
        with redis_client.translated():
            await self._client.set(self._keys.login_code(digest), 1, px=lasts_ms)

    async def take(self, digest: str) -> bool:
        """Whether the code was there to be taken; it is not from here on."""
        with redis_client.translated():
            # One command, so that of two who ask at once one gets it.
            return bool(await self._client.delete(self._keys.login_code(digest)))

    async def end(self, session_id: str, lasts_ms: int) -> None:
        """Remember for the rest of its time that a session was ended."""
        with redis_client.translated():
            await self._client.set(self._keys.ended_session(session_id), 1, px=max(lasts_ms, 1))

    async def has_ended(self, session_id: str) -> bool:
        """Whether somebody ended it."""
        with redis_client.translated():
            return bool(await self._client.exists(self._keys.ended_session(session_id)))

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()
