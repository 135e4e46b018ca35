"""Turns at something of which little goes on at a time: whoever has least goes first, among equals who came first."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec


class _Waiter(msgspec.Struct, frozen=True, eq=False):
    who: str
    has: Callable[[], int]
    turn: asyncio.Future[None]


class Turns:
    """At most ``at_once`` at a time."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._taken: collections.Counter[str] = collections.Counter()
        self._waiting: list[_Waiter] = []

    @contextlib.asynccontextmanager
    async def turn(self, who: str, has: Callable[[], int]) -> AsyncIterator[None]:
        """Wait for a turn and have it during the block. ``has`` tells what ``who`` has beside its turns."""
        await self._wait(who, has)
        try:
            yield
        finally:
            self._end(who)

    async def _wait(self, who: str, has: Callable[[], int]) -> None:
        if self._free:
            self._free -= 1
            self._taken[who] += 1
            return
        waiter = _Waiter(who, has, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # its turn had come, and is another's now
                self._end(who)
            raise

    def _end(self, who: str) -> None:
        self._taken[who] -= 1
        if not self._taken[who]:
            del self._taken[who]
        waiting = [waiter for waiter in self._waiting if not waiter.turn.done()]
        if not waiting:
            self._free += 1
            return
        first = min(waiting, key=lambda waiter: waiter.has() + self._taken[waiter.who])
        self._waiting.remove(first)
        self._taken[first.who] += 1
        first.turn.set_result(None)
