"""The prewarmed sandboxes of one node: started ahead of need, per runtime and network class, for any such revision.

The engine's first runtime is always kept in stock, any other while a current revision is written in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from faas.core import clock, groups, model
from runners import memory as memories
from runners import turns
from runners.sandbox import base

_BACKOFF_S = (0.2, 1.0, 2.0, 5.0, 10.0)
_STARTS_AT_ONCE = 2
"""At least. A start is the work of a processor: more of them at once end hardly sooner, and the first of them later."""
_LOOK_AGAIN_S = 2.0
_ASKED_EVERY_S = 2.0
"""How often an engine that is away is asked whether it is back, at least."""

_SLOW_AFTER_S = 5.0
"""A start that takes longer may be one that an engine that stands still will never answer: it is asked then."""

_FOR_STOCK = ""
_AFTER_WORK = 1 << 30

_log = logging.getLogger(__name__)


class Kind(msgspec.Struct, frozen=True):
    """What sandboxes must have in common for one to stand in for another; ``runtime`` is as in `base.Spec`."""

    runtime: str
    network: model.Network


class Stock:
    """Starts sandboxes, a few at a time, and keeps some ready. Those in stock are counted in ``memory``."""

    def __init__(
        self, engine: base.Engine, sandboxes: groups.Sandboxes, memory: memories.Memory, processors: int
    ) -> None:
        self.starting = 0
        self.start_ms = 300.0
        self._engine = engine
        self._memory = memory
        self._memory_mb = sandboxes.stock_memory_mb
        self._wanted = {model.Network.NONE: sandboxes.stock_none, model.Network.OUTBOUND: sandboxes.stock_outbound}
        self._names = [runtime.name for runtime in engine.runtimes]
        self._used = set(self._names[:1])
        self._ready: dict[Kind, list[base.Sandbox]] = {
            Kind(name, network): [] for name in self._names for network in model.Network
        }
        self.at_once = max(processors, _STARTS_AT_ONCE)
        """Starts that go on at a time."""
        self._turns = turns.Turns(self.at_once)
        self._changed = {name: asyncio.Event() for name in self._names}
        self._begun: dict[int, float] = {}
        self._numbers = itertools.count()
        self.away: base.EngineUnavailable | None = None
        """Why no sandbox can be started, by the last try; None while they can."""

    @property
    def ready(self) -> int:
        """How many wait to be claimed."""
        return sum(map(len, self._ready.values()))

    def kind(self, config: model.FunctionConfig) -> Kind:
        """What a revision needs: any version of its runtime that the engine has."""
        return Kind(self._engine.runtimes.name_of(config.runtime), config.network)

    def has(self, kind: Kind) -> bool:
        """Whether this node can have sandboxes of this kind at all."""
        return kind in self._ready

    def ready_for(self, kind: Kind) -> int:
        """How many wait to be claimed by a revision that needs this kind."""
        return len(self._ready.get(kind, ()))

    def claim(self, kind: Kind) -> base.Sandbox | None:
        """A prewarmed sandbox, which the caller owns from now on; None when there is none."""
        held = self._ready.get(kind)
        if not held:
            return None
        # Whoever fills the stock is woken before anybody waits for the next one.
        self._changed[kind.runtime].set()
        self._memory.take_back(self._memory_mb)
        return held.pop(0)

    def use(self, current: Iterable[model.Revision]) -> None:
        """Keep the runtimes of the current revisions in stock. What is there of others waits to be claimed."""
        asked = {revision.config.runtime for revision in current}
        used = {*self._names[:1], *map(self._engine.runtimes.name_of, asked)}
        for name in sorted(used - self._used - self._changed.keys()):
            hint = "its functions run on other nodes, or wait"
            _log.warning("runtime_not_here", extra={"runtime": name, "hint": hint})
        self._used = used
        for changed in self._changed.values():
            changed.set()

    def held_mb(self) -> list[int]:
        """The memory of each one that waits to be claimed."""
        return [self._memory_mb] * self.ready

    def give_up(self) -> base.Sandbox:
        """A sandbox of the stock whose memory somebody needs more; the caller closes it."""
        # The one that is missed least.
        fullest = max(self._ready, key=lambda kind: len(self._ready[kind]))
        self._memory.take_back(self._memory_mb)
        return self._ready[fullest].pop()

    async def start(
        self,
        kind: Kind,
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
            # Starts take turns, and what was wanted at the beginning of a burst may be served by now.
            if not is_wanted():
                return None
            sandbox = await self._start(self._spec(kind))
        # A mean that forgets: a machine that was busy for a minute is not taken for slow for long.
        self.start_ms += (sandbox.started_ms - self.start_ms) / 4
        return sandbox

    async def _start(self, spec: base.Spec) -> base.Sandbox:
        number = next(self._numbers)
        self.starting += 1
        self._begun[number] = clock.steady_s()
        try:
            sandbox = await self._engine.start(spec)
        except base.EngineUnavailable as error:
            self.away = error
            self._look_all()
            raise
        finally:
            self.starting -= 1
            del self._begun[number]
        self.away = None
        return sandbox

    def _spec(self, kind: Kind) -> base.Spec:
        return base.Spec(runtime=kind.runtime, network=kind.network, memory_mb=self._memory_mb)

    def _look_all(self) -> None:
        for changed in self._changed.values():
            changed.set()

    async def watch(self) -> None:
        """Ask an engine that takes long to start something whether it answers at all, until cancelled."""
        while True:
            await asyncio.sleep(_ASKED_EVERY_S)
            if clock.steady_s() - min(self._begun.values(), default=math.inf) < _SLOW_AFTER_S:
                continue
            try:
                await self._engine.check()
            except base.EngineUnavailable as error:
                self.away = error
            else:
                self.away = None  # it is slow, and starts what it was asked for

    async def add(self, sandbox: base.Sandbox) -> None:
        """Keep a sandbox that holds no revision, if there is room for it in stock; else it is closed."""
        kind = Kind(sandbox.spec.runtime, sandbox.spec.network)
        held = self._ready[kind]
        has_room = len(held) < self._wanted_of(kind) and self._memory.spare_mb >= self._memory_mb
        if not has_room or not self._memory.promise(self._memory_mb):
            await sandbox.close()
            return
        held.append(sandbox)
        sandbox.on_closed(self._gone)

    def _gone(self, sandbox: base.Sandbox) -> None:
        held = self._ready[Kind(sandbox.spec.runtime, sandbox.spec.network)]
        if sandbox in held:
            held.remove(sandbox)
            self._memory.take_back(self._memory_mb)
            self._changed[sandbox.spec.runtime].set()

    def _wanted_of(self, kind: Kind) -> int:
        return self._wanted[kind.network] if kind.runtime in self._used else 0

    async def keep(self) -> None:
        """Keep the stock full until cancelled. A runtime that does not start is no hindrance to the others."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._names:
                tasks.create_task(self._keep(name), name=f"stock {name}")

    async def _keep(self, name: str) -> None:
        """Keep the stock of one runtime full. An engine that does not answer is asked again, ever more rarely."""
        failures = 0
        changed = self._changed[name]
        while True:
            changed.clear()
            try:
                await self._fill(name)
                await self._look_whether_back()
            except (base.EngineUnavailable, base.SandboxLost) as error:
                if failures == 0:
                    _log.warning(
                        "no_sandbox_starts",
                        extra={"runtime": name, "reason": error.message, "hint": "see `faas doctor`"},
                    )
                pause_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                await asyncio.sleep(min(pause_s, _ASKED_EVERY_S) if self.away is not None else pause_s)
                failures += 1
                continue
            if failures:
                _log.info("sandboxes_start_again", extra={"runtime": name})
            failures = 0
            with contextlib.suppress(TimeoutError):  # memory that comes free is not told of
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await changed.wait()

    async def _look_whether_back(self) -> None:
        """Where the stock is full, or none is wanted, only who needs a sandbox would find out. Raises as `check`."""
        if self.away is not None:
            await self._engine.check()
            self.away = None

    async def _fill(self, name: str) -> None:
        for kind in (Kind(name, network) for network in self._wanted):
            while len(self._ready[kind]) < self._wanted_of(kind) and self._memory.spare_mb >= self._memory_mb:
                sandbox = await self.start(kind, lambda: True, (_FOR_STOCK,), lambda: (_AFTER_WORK,))
                if sandbox is not None:
                    await self.add(sandbox)

    async def close(self) -> None:
        """End those in stock."""
        sandboxes = [sandbox for held in self._ready.values() for sandbox in held]
        await asyncio.gather(*(sandbox.close() for sandbox in sandboxes))
