"""What every sandbox is, whatever contains it: a channel to an agent, and a host that can be limited and ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from faas.core import groups, model
from runners.sandbox import base, channel, freezing, greeting, memory_watch, objects, output, verdicts

_log = logging.getLogger(__name__)


class Host(Protocol):
    """One container or process."""

    freezer: freezing.Freezer | None
    """What stops it between attempts; None where nothing can."""

    async def place(self, code: Path) -> str:
        """Show the unpacked artifact to the sandbox; the folder as the sandbox sees it. Raises `base.SandboxLost`."""

    async def limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        """Set the revision's limits; OutOfMemory when more memory is in use already. Raises `base.SandboxLost`."""

    async def why_gone(self) -> verdicts.Death:
        """Why the agent's socket has closed."""

    def kill(self) -> None:
        """Kill everything in the sandbox, as soon as can be without waiting."""

    async def remove(self) -> None:
        """Kill what still runs and remove all that the sandbox left on this host. Never raises."""


class Owner:
    """The tasks that outlive whoever asked for them: the removals of an engine's sandboxes."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a coroutine to its end."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self) -> None:
        """Wait for all of them."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


class HostedSandbox:
    """A `base.Sandbox` over any `Host`. It ends itself when its state is in doubt, and says so to `on_closed`."""

    def __init__(
        self,
        id: str,
        spec: base.Spec,
        host: Host,
        greeted: greeting.Greeted,
        started_ms: int,
        owner: Owner,
        find_bucket: objects.Find,
        sandboxes: groups.Sandboxes,
        *,
        watch: memory_watch.Watch | None = None,
    ) -> None:
        self.id = id
        self.spec = spec
        self.started_ms = started_ms
        self._host = host
        self._owner = owner
        self._limited = False
        self._on_closed: list[Callable[[base.Sandbox], None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._ref = ""
        self._rest: freezing.Rest | None = None
        self._rest_after_s = freezing.AFTER_S
        self._channel = channel.Channel(
            greeted.sock, greeted.pipe, self, find_bucket, sandboxes, on_quiet=self._on_quiet
        )
        self._run = self._channel.run if watch is None else watch.limited_run(self._channel)

    def __repr__(self) -> str:
        state = "closed" if self._closing is not None else "loaded" if self._ref else "prewarmed"
        return f"<Sandbox {self.id} {state} {self._ref}>"

    def on_closed(self, callback: Callable[[base.Sandbox], None]) -> None:
        """See `base.Sandbox.on_closed`; at once when it has gone already."""
        if self._closing is not None:
            callback(self)
        else:
            self._on_closed.append(callback)

    async def load(self, revision: model.Revision, code: Path) -> base.Loaded:
        """See `base.Sandbox.load`. The handler is imported while the limits are being set."""
        self._ref = revision.ref
        limiting = asyncio.ensure_future(self._limit(revision.config))
        loaded: base.Loaded | None = None
        try:
            placed = await self._host.place(code)
            loaded = await self._channel.load(revision, placed)
            over = await limiting
        except base.SandboxLost:
            if loaded is None or loaded.error is None:
                raise
            over = None  # what was loaded ended the sandbox before its limits were set: that is the function's fault
        finally:
            limiting.cancel()
        if over is None:
            self._begin_to_rest(revision.config)
            return loaded
        self.doom()
        ending = verdicts.of_death(over, "", revision.config.memory_mb)
        return base.Loaded(init_us=loaded.init_us, error=ending.error, status=ending.status, logs=loaded.logs)

    def run(self, invocation: model.Invocation, then: base.Then) -> None:
        """See `base.Sandbox.run`."""
        if self._rest is not None:
            self._rest.end()
        self._run(invocation, then)

    async def close(self) -> None:
        """See `base.Sandbox.close`."""
        await asyncio.shield(self._begin_closing())

    async def why_gone(self) -> verdicts.Death:
        """Why the socket has closed. Memory that ran out under the stock's limit is not the function's fault."""
        found = await self._host.why_gone()
        if isinstance(found, verdicts.OutOfMemory) and not self._limited:
            return verdicts.Vanished("it ran out of memory before its limit was set")
        return found

    def doom(self) -> None:
        """Nothing more may run here."""
        self._host.kill()
        self._begin_closing()

    def keep_output(self, lines: output.Lines) -> None:
        """What is printed between attempts goes to the platform's log."""
        text = "\n".join(line.text for line in lines)
        _log.info("sandbox_output", extra={"sandbox": self.id, "function": self._ref, "text": text})

    def _on_quiet(self) -> None:
        if self._rest is not None:
            self._rest.begin(self._rest_after_s)

    def _begin_to_rest(self, config: model.FunctionConfig) -> None:
        freezer = self._host.freezer
        if self._closing is None and freezer is not None and freezer.works:
            self._rest = freezing.Rest(freezer)
            self._rest.begin()  # what an import leaves running is nobody's attempt, and not billed
            self._rest_after_s = freezing.BACKGROUND_S if config.background else freezing.AFTER_S

    async def _limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        over = await self._host.limit(config)
        self._limited = True
        return over

    def _begin_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            if self._rest is not None:
                self._rest.close()
            self._closing = self._owner.spawn(self._remove(), f"close {self.id}")
            for callback in self._on_closed:
                callback(self)
        return self._closing

    async def _remove(self) -> None:
        self._channel.close()
        await self._host.remove()
