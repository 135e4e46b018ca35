"""Ends of attempts from the queue, collected so that those that come together are settled in one call of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from faas.core import model
from faas.queue import invocations
from runners import slot as slots

AT_ONCE = 32
WITHIN_S = 0.003
"""What nobody waits for is settled together with what ends within so long, while there is more to do."""

End = tuple[invocations.Claim, slots.Ended]


class Finishes:
    """The ends of one revision's attempts that Redis has not been told of. ``send`` is called when they are due."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._ends: list[End] = []
        self._has_caller = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._ends)

    def holds(self, entry: str) -> bool:
        """Whether the end of the attempt that was claimed by this entry is here."""
        return any(claim.entry == entry for claim, _ in self._ends)

    def add(self, claim: invocations.Claim, ended: slots.Ended) -> None:
        """An attempt is over."""
        self._ends.append((claim, ended))
        self._has_caller = self._has_caller or claim.invocation.mode is model.Mode.SYNC

    def may_wait(self) -> bool:
        """Whether they wait for more, some milliseconds at most; not when somebody waits for one of them."""
        if not self._ends or self._has_caller or len(self._ends) >= AT_ONCE:
            return False
        if self._timer is None:
            self._timer = self._loop.call_later(WITHIN_S, self._send)
        return True

    def take(self) -> list[End]:
        """All that has ended, to be sent now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken, self._ends, self._has_caller = self._ends, [], False
        return taken
