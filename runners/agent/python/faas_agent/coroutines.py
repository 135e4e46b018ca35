"""The event loop of async handlers: one for the life of the sandbox, so that clients made on it stay usable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any


class Loop:
    """Made when the first coroutine comes; stands still between attempts."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run it to its end and return its result."""
        loop = self._ready_loop()
        return loop.run_until_complete(_awaited(awaitable))

    def _ready_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        return self._loop


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
