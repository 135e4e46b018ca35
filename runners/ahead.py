"""Work of short attempts that is claimed before a slot is free for it, so that no slot waits for Redis in between.

What one slot does in `AHEAD_MS` is claimed ahead, no more: nothing waits for longer than that behind a busy slot while
another node has a free one. What has waited for much longer (an attempt takes long for once) is given back.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable

from faas.core import model
from faas.queue import invocations

AHEAD_MS = 5.0
_MOST_PER_SLOT = 16
_GIVEN_BACK_AFTER_S = 0.05


def most_ahead(slots: int, attempt_ms: float) -> int:
    """How many invocations may be claimed beyond the free slots, where attempts take so long; none while unknown."""
    return min(int(AHEAD_MS / attempt_ms), _MOST_PER_SLOT) * slots if attempt_ms > 0 else 0


class Ahead:
    """What is claimed and has no slot yet, sync calls first. ``give_back`` takes what has waited for too long."""

    def __init__(self, give_back: Callable[[invocations.Claim], None]) -> None:
        self._give_back = give_back
        self._loop = asyncio.get_running_loop()
        self._claims: collections.deque[invocations.Claim] = collections.deque()
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._claims)

    def holds(self, entry: str) -> bool:
        """Whether the claim of this entry waits here."""
        return any(claim.entry == entry for claim in self._claims)

    def add(self, claim: invocations.Claim) -> None:
        """Let a claim wait for a slot."""
        if claim.invocation.mode is model.Mode.SYNC:
            self._claims.appendleft(claim)
        else:
            self._claims.append(claim)
        if self._timer is None:
            self._timer = self._loop.call_later(_GIVEN_BACK_AFTER_S, self._look, self._taken)

    def next(self) -> invocations.Claim | None:
        """What is to run next."""
        if not self._claims:
            return None
        self._taken += 1
        return self._claims.popleft()

    def clear(self) -> None:
        """Give all of it back."""
        while self._claims:
            self._give_back(self._claims.popleft())

    def _look(self, taken: int) -> None:
        self._timer = None
        if not self._claims:
            return
        if self._taken == taken:
            self.clear()
        else:
            self._timer = self._loop.call_later(_GIVEN_BACK_AFTER_S, self._look, self._taken)
