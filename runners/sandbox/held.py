"""What one attempt has open at the runner: until it lets go of it, and at the latest until it is over.

A thread that works on one has it alone: it is taken out meanwhile, so that nobody closes its descriptor under the
thread, whose number may be another file's the next moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar


class Refused(Exception):
    """A request that is answered with an error: one of the protocol's codes, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Closes(Protocol):
    """An object that is open."""

    def close(self) -> None:
        """Let it go."""


T = TypeVar("T", bound=Closes)


class HeldThings(Generic[T]):
    """Things of one kind, by the numbers that the sandbox gave them. ``doing`` says for people what they are open for.

    At most ``most`` at once: each is a descriptor of the node, or a connection.
    """

    def __init__(self, doing: str, most: int) -> None:
        self._doing = doing
        self._most = most
        self._things: dict[int, T] = {}
        self._attempt = 0

    def end_attempt(self) -> None:
        """Close all of them; one that a thread works on is closed when that is done."""
        self._attempt += 1
        if self._things:
            for thing in self._things.values():
                thing.close()
            self._things.clear()

    async def open(self, number: int, opening: Callable[[], T]) -> T:
        """Open one in a thread. Raises `Refused`, and what ``opening`` raises."""
        if number in self._things or len(self._things) >= self._most:
            raise Refused("Failed", f"more than {self._most} objects are being {self._doing} at once")
        attempt = self._attempt
        # The attempt may end while the thread opens: then nobody would close what it brings.
        thing = await asyncio.to_thread(opening)
        if attempt != self._attempt:
            thing.close()
            raise Refused("Failed", "the invocation is over")
        self._things[number] = thing
        return thing

    @contextlib.asynccontextmanager
    async def taken(self, number: int) -> AsyncIterator[T]:
        """Have one alone. Raises `Refused`."""
        thing = self.pop(number)
        attempt = self._attempt
        try:
            yield thing
        finally:
            if attempt == self._attempt:
                self._things[number] = thing
            else:
                thing.close()

    def pop(self, number: int) -> T:
        """Have one for good. Raises `Refused`."""
        thing = self._things.pop(number, None)
        if thing is None:
            raise Refused("Failed", f"this object is not being {self._doing}")
        return thing
