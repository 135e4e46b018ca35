"""What is open while a request is served: threads work on it, and the request may be cancelled at any moment.

A thread cannot be cancelled. Were a file closed beneath one, its descriptor's number could stand for another file by
the time that the thread writes. So use and closing exclude one another, and what is opened too late is closed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Closes(Protocol):
    """What can be held."""

    def close(self) -> None:
        """Let go of what it holds."""
        ...


C = TypeVar("C", bound=Closes)


class Held(Generic[C]):
    """One open thing, for work that blocks."""

    def __init__(self, opened: Callable[[], C]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._open: C | None = None
        self._is_over = False

    def open(self) -> None:
        """Open it, unless it has been closed before that. Raises what opening raises."""
        with self._lock:
            if not self._is_over:
                self._open = self._opened()

    async def use(self, work: Callable[[C], T]) -> T:
        """Do something with it in a thread. Raises what ``work`` raises."""
        return await asyncio.to_thread(self._use, work)

    def _use(self, work: Callable[[C], T]) -> T:
        with self._lock:
            if self._open is None:
                raise RuntimeError("the request that held this is over")
            return work(self._open)

    def close(self) -> None:
        """Wait for what is being done with it, and close it."""
        with self._lock:
            self._is_over = True
            if self._open is not None:
                self._open.close()
                self._open = None


@contextlib.asynccontextmanager
async def held(opened: Callable[[], C]) -> AsyncIterator[Held[C]]:
    """Something open. Raises what opening raises."""
    holding = Held(opened)
    try:
        await asyncio.to_thread(holding.open)
        yield holding
    finally:
        # Shielded, since a request that is cancelled must not leave a descriptor open.
        await asyncio.shield(asyncio.to_thread(holding.close))
