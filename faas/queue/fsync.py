"""Waiting until what was accepted is on the disk of the Redis server: ``durability: strict``.

WAITAOF blocks its connection and waits for the writes of that connection, so it has one of its own. The append-only
file is one sequence: once a write made here is on disk, all that was accepted before it is too. Those who come while a
wait is under way share the next one.
"""

from __future__ import annotations

import asyncio

from faas.core import errors
from faas.link import link as links
from faas.queue import keys as keyring

_WITHIN_MS = 5_000


class Fsync:
    """Shares waits among all who accept. The server syncs each write itself (`faas.valkey.fitness`)."""

    def __init__(self, redis_url: str, keys: keyring.Keys) -> None:
        self._redis_url = redis_url
        self._keys = keys
        self._link: links.Link | None = None
        self._under_way: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Return when what Redis has taken until now is on its disk.

        Raises `errors.Unavailable` when it is not within 5 s: what was accepted may then run all the same.
        """
        # Who comes while a wait is under way cannot share it: what he wrote may have come after it began. All of them
        # share the one after it.
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._turn(self._under_way), name="fsync")
        await asyncio.shield(self._next)

    async def _turn(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._under_way, self._next = self._next, None
        if self._link is None:
            self._link = await links.Link.open(self._redis_url)
        await self._link.reopen()
        # Both in one turn, so that they go over one connection: it waits for what was written there.
        self._link.tell("SET", self._keys.synced, "1")
        try:
            synced = (await self._link.call("WAITAOF", 1, 0, _WITHIN_MS))[0]
        except errors.Unavailable as error:
            # Redis before 7.2. Strict durability needs `appendfsync always` of any server, and with it the answer to
            # SET came after the sync.
            if "unknown command" not in error.message:
                raise
            return
        if not synced:
            raise errors.Unavailable(
                f"Redis has not synced its file within {_WITHIN_MS} ms; the invocation may run all the same",
                hint="is its disk slow or full? see `faas doctor`",
            )

    def close(self) -> None:
        """Drop the connection; who waits gets `errors.Unavailable`."""
        if self._link is not None:
            self._link.close()
