"""Whether this process stood still for so long that another node may have taken what it held (SIGSTOP, a suspend).

A lease that has lapsed does not tell: while Redis is away all of them lapse and nobody takes over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_LOOKS_PER_NAP = 4
_NAPS_PER_LEASE = 4
"""A lease was renewed up to a heartbeat ago when a nap begins, so that much less than a lease is a nap already."""


def awake_or_asleep_s() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps, as the clocks of other machines do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Naps:
    """The naps of this process: times in which its event loop stood still for a quarter of a lease or longer."""

    def __init__(self, lease_ms: int, clock: Callable[[], float] = awake_or_asleep_s) -> None:
        self.count = 0
        """How many naps were seen so far."""
        self._nap_s = lease_ms / 1000 / _NAPS_PER_LEASE
        self._clock = clock
        self._looked_at = clock()

    def slept_since(self, count: int) -> bool:
        """Whether there was a nap since there had been ``count``, the one included that has only just ended."""
        return self.count != count or self._clock() - self._looked_at >= self._nap_s

    async def watch(self) -> None:
        """See naps, for ever."""
        while True:
            self.look()
            await asyncio.sleep(self._nap_s / _LOOKS_PER_NAP)

    def look(self) -> None:
        """The event loop turns."""
        now = self._clock()
        if now - self._looked_at >= self._nap_s:
            self.count += 1
        self._looked_at = now
