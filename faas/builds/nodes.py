"""The nodes as builds reach them: through Redis. Every call opens and closes its own connection."""

from __future__ import annotations

import asyncio

import redis

from faas.builds import runtimes
from faas.cluster import catalog, demand
from faas.core import settings as settings_module
from faas.link import client as redis_client
from faas.queue import keys as keyring

_SEEN_WITHIN_MS = 5_000


class RedisNodes:
    """The adapter of `ports.Nodes` for nodes that share our Redis."""

    def __init__(self, settings: settings_module.Settings) -> None:
        self._url = settings.redis_url
        self._prefix = settings.redis_prefix

    def runtimes(self) -> list[runtimes.RuntimeInfo]:
        """Which Pythons the sandboxes have."""
        with redis_client.translated(), redis.Redis.from_url(self._url) as client:
            published = client.hgetall(keyring.Keys(self._prefix).runtimes)
        return runtimes.decode(published)

    def load(self, ref: str, timeout_ms: int) -> demand.LoadReport:
        """Import a revision's handler once, in a sandbox of any node."""
        return asyncio.run(self._load(ref, timeout_ms))

    def announce(self, version: int) -> bool:
        """Tell all of a new catalog; whether all have loaded it within a few seconds."""
        return asyncio.run(self._announce(version))

    async def _load(self, ref: str, timeout_ms: int) -> demand.LoadReport:
        asking = await demand.Demand.open(self._url, self._prefix)
        try:
            return await asking.ask_load(ref, timeout_ms)
        finally:
            await asking.close()

    async def _announce(self, version: int) -> bool:
        telling = await catalog.Catalog.open(self._url, self._prefix)
        try:
            await telling.announce(version)
            return await telling.wait_until_seen(version, _SEEN_WITHIN_MS)
        finally:
            await telling.close()
