"""Sync calls that wait in the memory of the node that they reached until one of its slots is free.

First come, first served. The line is bounded: in calls and in how long the last would wait, for each revision, and in
bytes, for the node. Of each bound a caller, and of the bytes a revision, has no more than a share. Whoever
hangs up leaves it; whoever has waited for as long as a call may wait is told so.
"""

from __future__ import annotations

import asyncio
import collections
import math
from collections.abc import Callable

import msgspec

from faas.core import clock, errors, model
from faas.core.calls import dispatch

_LOOK_S = 0.05


class LineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls may wait for one revision, and for how long."""

    calls: int
    wait_ms: int


class Budget:
    """The bytes of events that all lines of a node may hold together, and who has how many of them.

    Shares are those of the queues (`faas.queue.bounds`): a line has at most as much as it leaves free, a caller half of
    what he leaves free, and whoever has nothing finds room.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.used_bytes = 0
        self.of_callers: collections.Counter[str] = collections.Counter()

    def has_room(self, invocation: model.Invocation, line_bytes: int) -> bool:
        """Whether one more may wait in a line that holds so much."""
        size = len(invocation.event)
        free = self.most_bytes - self.used_bytes - size
        of_caller = 0 if invocation.caller is None else self.of_callers.get(invocation.caller, 0)
        return (not line_bytes or line_bytes + size <= free) and (not of_caller or 2 * (of_caller + size) <= free)

    def add(self, invocation: model.Invocation, factor: int) -> None:
        """Count one that comes (1), or leaves (-1)."""
        size = factor * len(invocation.event)
        self.used_bytes += size
        if invocation.caller is not None:
            _count(self.of_callers, invocation.caller, size)


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
        self._bytes = 0
        self._of_callers: collections.Counter[str] = collections.Counter()
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
        self._check_shares(invocation, turn_ms)

    def _check_shares(self, invocation: model.Invocation, turn_ms: float) -> None:
        waiting, budget = len(self._waiting), self._budget
        # A line that holds nothing takes one in, whatever others hold: whoever has nothing finds room.
        if not waiting:
            return
        of_caller = 0 if invocation.caller is None else self._of_callers.get(invocation.caller, 0)
        turns = min(self._limits.calls, int(self._limits.wait_ms / turn_ms) if turn_ms else self._limits.calls)
        if of_caller and 2 * of_caller >= turns - waiting:
            raise errors.Throttled(
                f"this caller has {of_caller} calls of {invocation.function} waiting: the other {turns - waiting} turns"
                " are for others",
                limit=turns,
            )
        if not budget.has_room(invocation, self._bytes):
            raise errors.Throttled(
                f"the calls that wait on this node hold {budget.used_bytes} bytes", limit=budget.most_bytes
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

    def refuse(self, error: errors.FaasError) -> None:
        """Tell all of them that nothing will run them."""
        while (one := self.next()) is not None:
            one.caller.fail(error)

    def longest_ms(self) -> float:
        """For how long the first has been waiting."""
        return (clock.steady_s() - self._waiting[0].since) * 1000 if self._waiting else 0.0

    def _push(self, one: Waiting) -> None:
        self._waiting.append(one)
        self._count(one.invocation, 1)

    def _pop(self) -> Waiting:
        one = self._waiting.popleft()
        self._count(one.invocation, -1)
        return one

    def _count(self, invocation: model.Invocation, factor: int) -> None:
        self._budget.add(invocation, factor)
        self._bytes += factor * len(invocation.event)
        if invocation.caller is not None:
            _count(self._of_callers, invocation.caller, factor)

    def _look(self) -> None:
        """Let those go whose clients have hung up, and tell who has waited for too long."""
        self._timer = None
        before = clock.steady_s() - self._limits.wait_ms / 1000
        # The first came first, so those who have waited for too long stand in front.
        while self._waiting and self._waiting[0].since <= before:
            one = self._pop()
            if one.caller.is_gone:
                self._left(one.invocation)
            else:
                hint = "`faas doctor` tells what is amiss, `faas status` what else waits"
                one.caller.fail(errors.NeverRan(f"nothing ran {one.invocation.function} in time", hint=hint))
        # They are looked for only now and then: a deque is not made to lose what is in its middle.
        if any(one.caller.is_gone for one in self._waiting):
            for _ in range(len(self._waiting)):
                one = self._pop()
                if one.caller.is_gone:
                    self._left(one.invocation)
                else:
                    self._push(one)
        if self._waiting:
            self._timer = self._loop.call_later(_LOOK_S, self._look)


def _count(counter: collections.Counter[str], name: str, more: int) -> None:
    """Add to a counter, in which nobody stays who has nothing."""
    # `get`, as for a name that a Counter does not have it runs a function of its own.
    if (count := counter.get(name, 0) + more) > 0:
        counter[name] = count
    else:
        counter.pop(name, None)
