"""Looks at the platform that go on beside other work: those who ask at the same time share one."""

from __future__ import annotations

import asyncio

from faas.core import settings as settings_module
from faas.health import facts


class Looks:
    """The looks at the platform that are under way."""

    def __init__(self, settings: settings_module.Settings, checks: facts.Checks) -> None:
        self._settings = settings
        self._checks = checks
        self._running: dict[bool, asyncio.Task[tuple[facts.Fact, ...]]] = {}

    async def look(self, *, thorough: bool) -> tuple[facts.Fact, ...]:
        """The facts of a look of this kind that goes on now, or of one that begins."""
        running = self._running.get(thorough)
        if running is None:
            checks = self._checks.of(thorough=thorough)
            running = asyncio.create_task(facts.gathered(checks, self._settings), name="health")
            self._running[thorough] = running
            running.add_done_callback(lambda _: self._running.pop(thorough, None))
        # Who leaves must not end it for the others.
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Wait for no look any more."""
        for running in list(self._running.values()):
            running.cancel()
