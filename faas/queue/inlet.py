"""The queue as a trigger or a delivery uses it: connected now, whatever became of Redis before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from faas.queue import invocations

T = TypeVar("T")


class Inlet:
    """Uses the live queue. A link that was lost is opened at once, not when it is its time to try again."""

    def __init__(self, queue: invocations.Queue) -> None:
        self._queue = queue

    async def call(self, command: Callable[[invocations.Queue], Awaitable[T]]) -> T:
        """Run one command. Raises `errors.Unavailable` while Redis is away or refuses, and what the command raises."""
        await self._queue.reopen()
        return await command(self._queue)
