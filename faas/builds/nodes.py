"""The nodes as builds reach them: through Redis. Every call opens and closes its own connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import redis as redis_py

from faas.builds import ports, runtimes
from faas.cluster import catalog, demand
from faas.core import groups
from faas.link import client as redis_client
from faas.queue import keys as keyring
from faas.runtimes import installed, table

_SEEN_WITHIN_MS = 5_000
_LOADS_A_NODE = 4
"""A node starts two sandboxes at a time, or more, and gives the next two their memory meanwhile (`runners.pool`).

What is asked beyond that waits at the node, where its time to find room runs already.
"""
_MOST_LOADS = 32


class RedisNodes:
    """The adapter of `ports.Nodes` for nodes that share our Redis."""

    def __init__(self, redis: groups.Redis, runtimes: table.Runtimes) -> None:
        self._runtimes = runtimes
        self._url = redis.redis_url
        self._prefix = redis.redis_prefix

    def runtimes(self) -> list[runtimes.Available]:
        """See `ports.Nodes.runtimes`."""
        with redis_client.translated(), redis_py.Redis.from_url(self._url) as client:
            published = client.hgetall(keyring.Keys(self._prefix).runtimes)
        return runtimes.known(installed.decode(published), self._runtimes)

    def load(self, refs: Sequence[str], timeout_ms: int, watch: ports.Watch) -> None:
        """See `ports.Nodes.load`."""
        asyncio.run(self._load(refs, timeout_ms, watch))

    def announce(self, version: int) -> bool:
        """Tell all of a new catalog; whether all have loaded it within a few seconds."""
        return asyncio.run(self._announce(version))

    async def _load(self, refs: Sequence[str], timeout_ms: int, watch: ports.Watch) -> None:
        left = iter(refs)
        at_once = min(await self._at_once(), len(refs))
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(at_once):
                    group.create_task(self._load_each(left, timeout_ms, watch), name=f"load {number}")
        except ExceptionGroup as failed:
            # The first is what went wrong, and those that failed while they were being ended say nothing more.
            raise failed.exceptions[0] from failed

    async def _load_each(self, left: Iterator[str], timeout_ms: int, watch: ports.Watch) -> None:
        """Have one revision after the other loaded. The tasks that do so take from the same iterator."""
        # A connection of its own: while it waits for an answer, nothing else can be asked on it.
        asking = await demand.Demand.open(self._url, self._prefix)
        try:
            for ref in left:
                with watch(ref) as take:
                    take(await asking.ask_load(ref, timeout_ms))
        finally:
            await asking.close()

    async def _at_once(self) -> int:
        living = await catalog.Catalog.open(self._url, self._prefix)
        try:
            return min(max(len(await living.nodes()), 1) * _LOADS_A_NODE, _MOST_LOADS)
        finally:
            await living.close()

    async def _announce(self, version: int) -> bool:
        telling = await catalog.Catalog.open(self._url, self._prefix)
        try:
            await telling.announce(version)
            return await telling.wait_until_seen(version, _SEEN_WITHIN_MS)
        finally:
            await telling.close()
