"""The prewarmed sandboxes of one node: started ahead of need, per network class, and claimed by any revision."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence

from faas.core import model, settings
from runners import memory as memories
from runners import turns
from runners.sandbox import base

_BACKOFF_S = (0.2, 1.0, 2.0, 5.0, 10.0)
_STARTS_AT_ONCE = 2
"""At least. A start is the work of a processor: more of them at once end hardly sooner, and the first of them later."""
_LOOK_AGAIN_S = 2.0
_FOR_STOCK = ""
_AFTER_WORK = 1 << 30

_log = logging.getLogger(__name__)


class Stock:
    """Starts sandboxes, a few at a time, and keeps some ready. Those in stock are counted in ``memory``."""

    def __init__(self, engine: base.Engine, limits: settings.Settings, memory: memories.Memory) -> None:
        self.starting = 0
        self.start_ms = 300.0
        self._engine = engine
        self._memory = memory
        self._memory_mb = limits.stock_memory_mb
        self._wanted = {model.Network.NONE: limits.stock_none, model.Network.OUTBOUND: limits.stock_outbound}
        self._ready: dict[model.Network, list[base.Sandbox]] = {network: [] for network in model.Network}
        self.at_once = max((os.cpu_count() or 1) // limits.node_count, _STARTS_AT_ONCE)
        """Starts that go on at a time."""
        self._turns = turns.Turns(self.at_once)
        self._changed = asyncio.Event()

    @property
    def ready(self) -> int:
        """How many wait to be claimed."""
        return sum(map(len, self._ready.values()))

    def ready_for(self, network: model.Network) -> int:
        """How many wait to be claimed by a revision of that network class."""
        return len(self._ready[network])

    def claim(self, network: model.Network) -> base.Sandbox | None:
        """A prewarmed sandbox, which the caller owns from now on; None when there is none."""
        if not self._ready[network]:
            return None
        self._changed.set()
        self._memory.take_back(self._memory_mb)
        return self._ready[network].pop(0)

    def held_mb(self) -> list[int]:
        """The memory of each one that waits to be claimed."""
        return [self._memory_mb] * self.ready

    def give_up(self) -> base.Sandbox:
        """One whose memory somebody needs more; the caller closes it."""
        fullest = max(self._ready, key=lambda network: len(self._ready[network]))
        self._memory.take_back(self._memory_mb)
        return self._ready[fullest].pop()

    async def start(
        self,
        network: model.Network,
        is_wanted: Callable[[], bool],
        who: Sequence[str],
        has: Callable[[], Sequence[int]],
    ) -> base.Sandbox | None:
        """A sandbox made from nothing; None when it was not wanted any more when its turn came.

        The function and revision ``who`` are the sooner served the less slots they each ``has``: so all have their
        first one soon when they want many at once, as after a start of the platform. Raises
        `base.EngineUnavailable` and `base.SandboxLost`.
        """
        async with self._turns.turn(who, has):
            if not is_wanted():
                return None
            self.starting += 1
            try:
                sandbox = await self._engine.start(base.Spec(network=network, memory_mb=self._memory_mb))
            finally:
                self.starting -= 1
        self.start_ms += (sandbox.started_ms - self.start_ms) / 4
        return sandbox

    async def add(self, sandbox: base.Sandbox) -> None:
        """Keep a sandbox that holds no revision, if there is room for it in stock; else it is closed."""
        held = self._ready[sandbox.spec.network]
        has_room = len(held) < self._wanted[sandbox.spec.network] and self._memory.spare_mb >= self._memory_mb
        if not has_room or not self._memory.promise(self._memory_mb):
            await sandbox.close()
            return
        held.append(sandbox)
        sandbox.on_closed(self._gone)

    def _gone(self, sandbox: base.Sandbox) -> None:
        held = self._ready[sandbox.spec.network]
        if sandbox in held:
            held.remove(sandbox)
            self._memory.take_back(self._memory_mb)
            self._changed.set()

    async def keep(self) -> None:
        """Keep the stock full until cancelled. An engine that does not answer is asked again, ever more rarely."""
        failures = 0
        while True:
            self._changed.clear()
            try:
                await self._fill()
            except (base.EngineUnavailable, base.SandboxLost) as error:
                if failures == 0:
                    _log.warning("no_sandbox_starts", extra={"reason": error.message, "hint": "see `faas doctor`"})
                await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                failures += 1
                continue
            if failures:
                _log.info("sandboxes_start_again")
            failures = 0
            with contextlib.suppress(TimeoutError):  # memory that comes free is not told of
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._changed.wait()

    async def _fill(self) -> None:
        for network, wanted in self._wanted.items():
            while len(self._ready[network]) < wanted and self._memory.spare_mb >= self._memory_mb:
                sandbox = await self.start(network, lambda: True, (_FOR_STOCK,), lambda: (_AFTER_WORK,))
                if sandbox is not None:
                    await self.add(sandbox)

    async def close(self) -> None:
        """End those in stock."""
        sandboxes = [sandbox for held in self._ready.values() for sandbox in held]
        await asyncio.gather(*(sandbox.close() for sandbox in sandboxes))
