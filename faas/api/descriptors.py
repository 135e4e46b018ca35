"""A file descriptor that threads work on while the request that owns it may be cancelled at any moment.

A thread cannot be cancelled. Were a descriptor closed beneath one, its number could stand for another file by the time
that the thread writes. So use and closing exclude one another, and what is opened too late is closed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")


class Descriptor:
    """One descriptor, for work that blocks."""

    def __init__(self, opened: Callable[[], int]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._is_over = False

    def open(self) -> None:
        """Open it, unless it has been closed before that. Raises what opening raises."""
        with self._lock:
            if not self._is_over:
                self._fd = self._opened()

    async def use(self, work: Callable[[int], T]) -> T:
        """Do something with the descriptor in a thread. Raises what ``work`` raises."""
        return await asyncio.to_thread(self._use, work)

    def _use(self, work: Callable[[int], T]) -> T:
        with self._lock:
            if self._fd is None:
                raise RuntimeError("the request that held this descriptor is over")
            return work(self._fd)

    def close(self) -> None:
        """Wait for what is being done with it, and close it."""
        with self._lock:
            self._is_over = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


@contextlib.asynccontextmanager
async def held(opened: Callable[[], int]) -> AsyncIterator[Descriptor]:
    """An open descriptor. Raises what opening raises."""
    descriptor = Descriptor(opened)
    try:
        await asyncio.to_thread(descriptor.open)
        yield descriptor
    finally:
        await asyncio.shield(asyncio.to_thread(descriptor.close))
