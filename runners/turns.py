"""Turns at something of which little goes on at a time: whoever has least goes first, among equals who came first.

Who takes a turn is named from the widest group to the narrowest: groups have turns among one another, and then those of
a group among themselves.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec


class _Waiter(msgspec.Struct, frozen=True, eq=False):
    who: Sequence[str]
    has: Callable[[], Sequence[int]]
    turn: asyncio.Future[None]


class Turns:
    """At most ``at_once`` at a time."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._taken: collections.Counter[str] = collections.Counter()
        self._waiting: list[_Waiter] = []

    @contextlib.asynccontextmanager
    async def turn(self, who: Sequence[str], has: Callable[[], Sequence[int]]) -> AsyncIterator[None]:
        """Wait for a turn and have it during the block. ``has`` tells what each of ``who`` has beside its turns."""
        await self._wait(who, has)
        try:
            yield
        finally:
            self._end(who)

    async def _wait(self, who: Sequence[str], has: Callable[[], Sequence[int]]) -> None:
        if self._free:
            self._free -= 1
            self._taken.update(who)
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

    def _end(self, who: Sequence[str]) -> None:
        self._taken.subtract(who)
        for name in who:
            if not self._taken[name]:
                del self._taken[name]
        # One that was cancelled is here until its task has run once more.
        waiting = [waiter for waiter in self._waiting if not waiter.turn.done()]
        if not waiting:
            self._free += 1
            return
        # `min` takes the first of equals, so who came first goes first.
        first = min(waiting, key=self._held)
        self._waiting.remove(first)
        self._taken.update(first.who)
        first.turn.set_result(None)

    def _held(self, waiter: _Waiter) -> tuple[int, ...]:
        return tuple(has + self._taken[name] for name, has in zip(waiter.who, waiter.has(), strict=True))
