"""Sync calls that wait in memory, for milliseconds, until a slot of their own node is free.

Where attempts are short, the way through Redis would cost more than the wait. Nothing stands here for long: who has not
had his turn in time goes to the queue, where any node may take him.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable

from faas.core import model
from runners import keepalive

MOST = 256
GIVEN_UP_AFTER_S = 0.02

Caller = asyncio.Future[model.Outcome]
GiveUp = Callable[[model.Invocation, Caller], None]


class Line:
    """First come, first served. ``give_up`` takes over a call that waited too long, or that no slot is left for."""

    def __init__(self, give_up: GiveUp) -> None:
        self._loop = asyncio.get_running_loop()
        self._give_up = give_up
        self._waiting: collections.deque[tuple[float, model.Invocation, Caller]] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, slots: int, attempt_ms: float) -> bool:
        """Whether one more would have its turn soon."""
        waiting = len(self._waiting)
        return waiting < MOST and keepalive.turn_comes_soon(waiting + 1, slots=slots, attempt_ms=attempt_ms)

    def add(self, invocation: model.Invocation) -> Caller:
        """Wait for a slot; the future is the outcome."""
        caller: Caller = self._loop.create_future()
        self._waiting.append((time.monotonic(), invocation, caller))
        if self._timer is None:
            self._timer = self._loop.call_later(GIVEN_UP_AFTER_S, self._look)
        return caller

    def next(self) -> tuple[model.Invocation, Caller] | None:
        """Whose turn it is; those who have hung up meanwhile are forgotten."""
        while self._waiting:
            _, invocation, caller = self._waiting.popleft()
            if not caller.done():
                return invocation, caller
        return None

    def disperse(self) -> None:
        """Give up all of them."""
        while (found := self.next()) is not None:
            self._give_up(*found)

    def _look(self) -> None:
        self._timer = None
        before = time.monotonic() - GIVEN_UP_AFTER_S
        while self._waiting and self._waiting[0][0] <= before:
            _, invocation, caller = self._waiting.popleft()
            if not caller.done():
                self._give_up(invocation, caller)
        if self._waiting:
            self._timer = self._loop.call_later(self._waiting[0][0] - before, self._look)
