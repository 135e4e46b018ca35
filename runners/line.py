"""Sync calls that wait in the memory of the node that they reached until one of its slots is free.

First come, first served. The line is bounded: in calls and in how long the last would wait, for each revision, and in
bytes, for the node. Whoever hangs up leaves it; whoever has waited for as long as a call may wait is told so.
"""

from __future__ import annotations

import asyncio
import collections
import math
from collections.abc import Callable

import msgspec

from faas.core import clock, dispatch, errors, model

_LOOK_S = 0.05


class LineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls may wait for one revision, and for how long."""

    calls: int
    wait_ms: int


class Budget:
    """The bytes of events that all lines of a node may hold together."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.used_bytes = 0


class Waiting(msgspec.Struct, frozen=True, eq=False):
    """A call in line, and since when (seconds of the monotonic clock)."""

    invocation: model.Invocation
    caller: dispatch.Caller
    since: float


class Line:
    """The line of one revision. ``left`` is given each call whose client hung up."""

    def __init__(self, limits: LineLimits, budget: Budget, left: Callable[[model.Invocation], None]) -> None:
        self._limits = limits
        self._budget = budget
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._waiting: collections.deque[Waiting] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, invocation: model.Invocation, caller: dispatch.Caller, *, turn_ms: float) -> None:
        """Wait for a slot. ``turn_ms`` is how long those before it, and it, will have to wait for each turn.

        Raises `errors.Throttled` when the line is full, or the turn of this call would come too late.
        """
        self._check(invocation, turn_ms)
        self._push(Waiting(invocation, caller, clock.steady_s()))
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_S, self._look)

    def _check(self, invocation: model.Invocation, turn_ms: float) -> None:
        waiting, wait_ms = len(self._waiting), (len(self._waiting) + 1) * turn_ms
        if wait_ms > self._limits.wait_ms:
            raise errors.Throttled(
                f"{waiting} calls wait for {invocation.function}: the turn of one more comes in {wait_ms / 1000:.0f} s",
                retry_after_s=max(1, math.ceil((wait_ms - self._limits.wait_ms) / 1000)),
                limit=self._limits.wait_ms,
                hint="a sync call waits no longer than FAAS_MAX_QUEUE_WAIT_MS",
            )
        if waiting >= self._limits.calls:
            raise errors.Throttled(f"{waiting} calls wait for {invocation.function}", limit=self._limits.calls)
        if waiting and self._budget.used_bytes + len(invocation.event) > self._budget.most_bytes:
            raise errors.Throttled(
                f"the calls that wait on this node hold {self._budget.used_bytes} bytes", limit=self._budget.most_bytes
            )

    def next(self) -> Waiting | None:
        """Whose turn it is."""
        while self._waiting:
            one = self._pop()
            if not one.caller.is_gone:
                return one
            self._left(one.invocation)
        return None

    def disperse(self, most: int | None = None) -> None:
        """Send those in front (all, without ``most``) on to the queue, where any node may take them."""
        for _ in range(len(self._waiting) if most is None else most):
            one = self.next()
            if one is None:
                return
            one.caller.decline()

    def longest_ms(self) -> float:
        """For how long the first has been waiting."""
        return (clock.steady_s() - self._waiting[0].since) * 1000 if self._waiting else 0.0

    def _push(self, one: Waiting) -> None:
        self._waiting.append(one)
        self._budget.used_bytes += len(one.invocation.event)

    def _pop(self) -> Waiting:
        one = self._waiting.popleft()
        self._budget.used_bytes -= len(one.invocation.event)
        return one

    def _look(self) -> None:
        """Let those go whose clients have hung up, and tell who has waited for too long."""
        self._timer = None
        before = clock.steady_s() - self._limits.wait_ms / 1000
        while self._waiting and self._waiting[0].since <= before:
            one = self._pop()
            if one.caller.is_gone:
                self._left(one.invocation)
            else:
                hint = "`faas doctor` tells what is amiss, `faas status` what else waits"
                one.caller.fail(errors.NeverRan(f"nothing ran {one.invocation.function} in time", hint=hint))
        if any(one.caller.is_gone for one in self._waiting):
            for _ in range(len(self._waiting)):
                one = self._pop()
                if one.caller.is_gone:
                    self._left(one.invocation)
                else:
                    self._push(one)
        if self._waiting:
            self._timer = self._loop.call_later(_LOOK_S, self._look)
