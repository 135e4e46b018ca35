"""One small transaction after another, with pauses between: whoever else writes never waits for long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from faas.retention import policy
from faas.store import removal


class Steps:
    """Takes steps in a thread until ``stop`` is set. How many rows one has follows from how long the last one took."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop

    async def until_none(self, step: Callable[[int], removal.Went], first_rows: int = policy.FIRST_ROWS) -> None:
        """Repeat ``step``, which is given how many rows to remove at most, until none went."""
        rows = first_rows
        while not self.stop.is_set():
            went = await asyncio.to_thread(step, rows)
            if not went.count:
                return
            rows = policy.next_rows(rows, went.held_s, first_rows)
            await self.pause(policy.pause_s(went.held_s))

    async def pause(self, seconds: float) -> None:
        """Wait, but not past the stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)
