"""The open connections of one port: their bound, what they hold, who has to go when there is no more room, their end.

Room is shared by address. When all connections are taken, or hold as many bytes as they may, the address that has most
of them gives some up: those that have kept the server waiting the longest. A connection whose request is being worked
on is never one of them.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import resource
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from faas.core import errors

_SHORTEST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.25
_PATIENCE_S = 2.0
"""Who keeps the server waiting for less than this makes no room for others."""
_AT_ONCE = 32
"""The part of all connections that go at once, when there is no room: not to look through all for each new one."""
_LEFT_HELD = 7 / 8
"""What remains, of the bytes that connections may hold, when some had to give up theirs: not to look each time."""


class PortLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one port; see the settings of these names."""

    receive_timeout_ms: int
    keep_alive_ms: int
    max_connections: int
    max_connection_bytes: int


class ClientConnection(Protocol):
    """One connection, as the server sees it."""

    held_bytes: int
    """What of the client's bytes is kept for it: of a request that is not whole, of an answer that is not read."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def waits_since(self) -> float | None:
        """By the loop's clock, since when the client keeps the server waiting; None while the server is at work."""

    def look(self, now: float) -> None:
        """Cut a client that is too slow."""

    def make_room(self) -> None:
        """End at once: others need the room."""

    def end(self) -> None:
        """Close, unless an answer is still to be sent: then with that."""

    def abort(self) -> None:
        """Break off."""


class Server:
    """Makes a protocol of each client by ``make``, and looks after them. ``done`` is awaited at the end.

    Call it in a running event loop.
    """

    def __init__(
        self, limits: PortLimits, make: Callable[[], asyncio.Protocol], done: Callable[[], Awaitable[None]]
    ) -> None:
        self.is_leaving = False
        # The other half of the file descriptors is for sandboxes and what else the process opens.
        self.most = min(limits.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self.held_bytes = 0
        shortest_ms = min(limits.receive_timeout_ms, limits.keep_alive_ms)
        self._look_every_s = min(max(shortest_ms / 4000, _SHORTEST_LOOK_S), _LONGEST_LOOK_S)
        self._most_bytes = limits.max_connection_bytes
        self._make = make
        self._done = done
        self._admitted: set[ClientConnection] = set()
        self._refused: set[ClientConnection] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._nobody_left = asyncio.Event()
        self._look_for_room_at = 0.0

    def __call__(self) -> asyncio.Protocol:
        """One connection."""
        return self._make()

    def admit(self, one: ClientConnection) -> errors.FaasError | None:
        """Count a new connection, or say why there is no room for it. Those admitted are counted by being here."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(self._look_every_s, self._look)
        if len(self._admitted) < self.most or self._has_made_room():
            self._admitted.add(one)
            return None
        self._refused.add(one)
        return errors.Unavailable(f"{self.most} connections are open", hint="see the setting max_connections")

    def dismiss(self, one: ClientConnection) -> None:
        """The connection is gone."""
        self._refused.discard(one)
        self._admitted.discard(one)
        self.held_bytes -= one.held_bytes
        one.held_bytes = 0
        if not self._admitted:
            self._nobody_left.set()

    def hold(self, one: ClientConnection, held_bytes: int) -> None:
        """Count what is kept for a client now. Past the bound some, perhaps this one, have to give theirs up."""
        self.held_bytes += held_bytes - one.held_bytes
        one.held_bytes = held_bytes
        if self.held_bytes > self._most_bytes:
            # Not in the middle of what the client was at.
            asyncio.get_running_loop().call_soon(self._give_back)

    def _has_made_room(self) -> bool:
        """Whether one of those who keep the server waiting had to go."""
        now = asyncio.get_running_loop().time()
        if now < self._look_for_room_at:
            return False
        before = now - _PATIENCE_S
        waiting = [one for one in self._admitted if one.waits_since is not None and one.waits_since <= before]
        # Of the address that has most of all connections, so that who opens many pays with his own.
        chosen = _of_largest(waiting, dict.fromkeys(self._admitted, 1))[: max(self.most // _AT_ONCE, 1)]
        for one in chosen:
            self._part_with(one)
        self._look_for_room_at = now if chosen else now + _LONGEST_LOOK_S
        return bool(chosen)

    def _give_back(self) -> None:
        if self.held_bytes <= self._most_bytes:
            return
        held = {one: one.held_bytes for one in self._admitted if one.held_bytes}
        while self.held_bytes > self._most_bytes * _LEFT_HELD:
            chosen = _of_largest([one for one in held if one.waits_since is not None], held)
            if not chosen:
                return
            for one in chosen:
                held.pop(one, None)
                self._part_with(one)
                if self.held_bytes <= self._most_bytes * _LEFT_HELD:
                    return

    def _part_with(self, one: ClientConnection) -> None:
        # It is counted no more from now on, whatever time its socket takes to close; it is still looked after.
        self._admitted.discard(one)
        self._refused.add(one)
        self.held_bytes -= one.held_bytes
        one.held_bytes = 0
        one.make_room()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        # Copies: whoever is cut takes himself out of these.
        for one in (*self._admitted, *self._refused):
            one.look(now)
        is_wanted = self._admitted or self._refused
        # With nobody connected the timer is not set: an idle port costs nothing.
        self._looking = loop.call_later(self._look_every_s, self._look) if is_wanted else None

    async def say_farewell(self, within_s: float) -> None:
        """Let each connection end with its next answer, so that no request meets a closed one; so long at most."""
        self.is_leaving = True
        await self._wait_for_all(within_s)

    async def close(self, grace_s: float) -> None:
        """End every connection; who waits for an answer has so long for it."""
        self.is_leaving = True
        for one in list(self._admitted):
            one.end()
        await self._wait_for_all(grace_s)
        for one in (*self._admitted, *self._refused):
            one.abort()
        await self._wait_for_all(_LONGEST_LOOK_S)
        if self._looking is not None:
            self._looking.cancel()
        await self._done()

    async def _wait_for_all(self, within_s: float) -> None:
        if not self._admitted:
            return
        self._nobody_left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._nobody_left.wait()


def _of_largest(among: Iterable[ClientConnection], weights: dict[ClientConnection, int]) -> list[ClientConnection]:
    """The clients of ``among`` whose address has the largest weight in all, the longest waiting first."""
    sums: collections.Counter[str] = collections.Counter()
    for one, weight in weights.items():
        sums[one.address] += weight
    candidates = sorted(among, key=lambda one: one.waits_since or 0.0)
    largest = max((one.address for one in candidates), key=lambda address: sums[address], default="")
    return [one for one in candidates if one.address == largest]
