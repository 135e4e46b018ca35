"""Callers of a platform's gateway, many at once, that note what became of each call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what was answered, and after how many seconds.

    Status 0 says that the connection broke without an answer, or that there was none (``was_connected``); ``body`` says
    why.

    ``began_s`` is a moment of the monotonic clock.
    """

    status: int
    began_s: float
    took_s: float
    invocation_id: str = ""
    retry_after: str = ""
    body: bytes = b""
    was_connected: bool = True


class Callers:
    """Calls that several callers make, each its next one when it has its answer. Make it with `calling`."""

    def __init__(self, session: aiohttp.ClientSession, gateway: str) -> None:
        self.calls: list[Call] = []
        self._session = session
        self._gateway = gateway

    async def call(self, path: str, headers: Mapping[str, str] | None = None) -> Call:
        """One call, noted too."""
        began = time.monotonic()
        try:
            async with self._session.get(self._gateway + path, headers=headers) as got:
                body = await got.read()
                made = Call(
                    status=got.status,
                    began_s=began,
                    took_s=time.monotonic() - began,
                    invocation_id=got.headers.get("Faas-Invocation-Id", ""),
                    retry_after=got.headers.get("Retry-After", ""),
                    body=body,
                )
        except (aiohttp.ClientError, ConnectionError) as error:
            was_connected = not isinstance(error, aiohttp.ClientConnectorError)
            took_s, why = time.monotonic() - began, repr(error).encode()
            made = Call(status=0, began_s=began, took_s=took_s, body=why, was_connected=was_connected)
        self.calls.append(made)
        return made

    async def keep_calling(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        """One caller: calls until it is cancelled. Who is refused tries again a little later."""
        while True:
            if (await self.call(path, headers)).status not in (200, 202):
                await asyncio.sleep(0.05)

    def since(self, began_s: float, until_s: float = float("inf")) -> list[Call]:
        """The calls that began in between."""
        return [call for call in self.calls if began_s <= call.began_s < until_s]


@asynccontextmanager
async def calling(gateway: str) -> AsyncIterator[Callers]:
    """Callers for the length of the block."""
    timeout = aiohttp.ClientTimeout(total=150)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield Callers(session, gateway)
