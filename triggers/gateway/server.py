"""The gateway's HTTP server: its open connections, their bound, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import resource

from faas.core import errors
from triggers.gateway import connection, gateway

_SHORTEST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.25


class Server:
    """Makes a `connection.Connection` of each client, and looks after them. Call it in a running event loop."""

    def __init__(self, served: gateway.Gateway) -> None:
        self.is_leaving = False
        bounds = served.limits
        # The other half of the file descriptors is for sandboxes and what else the process opens.
        self.most = min(bounds.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        shortest_ms = min(bounds.receive_timeout_ms, bounds.keep_alive_ms)
        self._look_every_s = min(max(shortest_ms / 4000, _SHORTEST_LOOK_S), _LONGEST_LOOK_S)
        self._gateway = served
        self._admitted: set[connection.Connection] = set()
        self._refused: set[connection.Connection] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._nobody_left = asyncio.Event()

    def __call__(self) -> connection.Connection:
        """One connection."""
        return connection.Connection(self, self._gateway, asyncio.get_running_loop())

    def admit(self, one: connection.Connection) -> errors.FaasError | None:
        """See `connection.Home`. Those admitted are counted by being here, so none can leak."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(self._look_every_s, self._look)
        if len(self._admitted) < self.most:
            self._admitted.add(one)
            return None
        self._refused.add(one)
        return errors.Unavailable(f"{self.most} connections are open", hint="see the setting max_connections")

    def dismiss(self, one: connection.Connection) -> None:
        """See `connection.Home`."""
        self._refused.discard(one)
        self._admitted.discard(one)
        if not self._admitted:
            self._nobody_left.set()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for one in (*self._admitted, *self._refused):
            one.look(now)
        is_wanted = self._admitted or self._refused
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
        await self._gateway.close()

    async def _wait_for_all(self, within_s: float) -> None:
        if not self._admitted:
            return
        self._nobody_left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._nobody_left.wait()
