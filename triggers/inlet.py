"""The queue as a trigger uses it: a connection that comes back, whatever becomes of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import hiredis

from faas.core import errors, settings
from faas.queue import invocations

T = TypeVar("T")


class Inlet:
    """Uses the live queue, connecting anew after a loss. The first queue is the caller's, to close too."""

    def __init__(self, config: settings.Settings, queue: invocations.Queue) -> None:
        self._config = config
        self._given = self._queue = queue
        self._lock = asyncio.Lock()

    async def call(self, command: Callable[[invocations.Queue], Awaitable[T]]) -> T:
        """Run one command. Raises `errors.Unavailable` while Redis is away or refuses, and what the command raises."""
        try:
            return await command(await self._live())
        except hiredis.HiredisError as error:
            # Out of memory, or still reading its append-only file, or restarted without our scripts.
            raise errors.Unavailable(f"Redis refuses: {error}") from error

    async def _live(self) -> invocations.Queue:
        async with self._lock:
            if not self._queue.link.is_open:
                self._queue = await invocations.Queue.of(self._config)
            return self._queue

    def close(self) -> None:
        """Drop a connection of our own making."""
        if self._queue is not self._given:
            self._queue.close()
