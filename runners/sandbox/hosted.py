"""What every sandbox is, whatever contains it: a channel to an agent, and a place that can be limited and ended.

This module knows no host. What a place is (a container, a process, a pod on another machine) and how it is frozen,
watched or killed is its engine's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from faas.core import clock, groups, model
from faas.core.money import billing
from runners.sandbox import base, channel, greeting, objects, output, verdicts

PRE_STOP_WITHIN_S = 3.0

_log = logging.getLogger(__name__)


REST_AFTER_S = 0.02
"""How long a sandbox is idle before it rests: calls that follow one another closely find it running."""

BACKGROUND_S = billing.BACKGROUND_MS / 1000
"""The same for a function that asks to go on after its attempts."""

Run = Callable[[model.Invocation, base.Then], None]


class Rest(Protocol):
    """What stops a sandbox between its attempts."""

    def begin(self, after_s: float) -> None:
        """Nothing runs in the sandbox that anybody waits for: stop it when that lasts ``after_s``."""

    def end(self) -> None:
        """Something is about to be sent to the sandbox: it runs when this returns."""

    def close(self) -> None:
        """The sandbox ends: never stop it again. Safe to call twice."""


class Place(Protocol):
    """One container or process, or whatever else the agent runs in."""

    async def show(self, artifact: str, channel: channel.Channel) -> str:
        """Show the code of this digest to the sandbox; the folder as the sandbox sees it.

        A place that has no other way sends it over the channel.

        Raises `base.SandboxLost`, and what `base.Engine.fetch` raises.
        """

    def rest(self) -> Rest | None:
        """What stops it between attempts; None where nothing can."""

    def watched(self, channel: channel.Channel) -> Run:
        """The channel's ``run``, or another in its stead: some places look more closely while an attempt runs."""

    def cpu_us(self) -> int | None:
        """See `base.Sandbox.cpu_us`."""

    async def limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        """Set the revision's limits; OutOfMemory when more memory is in use already. Raises `base.SandboxLost`."""

    async def why_gone(self, told: verdicts.Exited | None) -> verdicts.Death:
        """Why the agent's socket has closed. ``told`` is what the sandbox said about it, if it could."""

    def kill(self) -> None:
        """Kill everything in the sandbox, as soon as can be without waiting."""

    async def remove(self) -> None:
        """Kill what still runs and remove all that the sandbox left behind. Never raises."""


class Removals:
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
    """A `base.Sandbox` in any `Place`. It ends itself when its state is in doubt, and says so to `on_closed`."""

    def __init__(
        self,
        id: str,
        spec: base.Spec,
        place: Place,
        greeted: greeting.Greeted,
        started_ms: int,
        owner: Removals,
        find_bucket: objects.Find,
        sandboxes: groups.Sandboxes,
    ) -> None:
        self.id = id
        self.spec = spec
        self.started_ms = started_ms
        self._place = place
        self._owner = owner
        self._limited = False
        self._on_closed: list[Callable[[base.Sandbox], None]] = []
        self._on_output: Callable[[output.Lines], None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ref = ""
        self._says = greeted.says
        self._rest: Rest | None = None
        self._rest_after_s = REST_AFTER_S
        self._has_pre_stop = False
        self._ends = asyncio.Event()
        self._channel = channel.Channel(
            greeted.sock, greeted.pipe, self, find_bucket, sandboxes, on_quiet=self._on_quiet
        )
        self._run = place.watched(self._channel)
        self.cpu_us = place.cpu_us

    def __repr__(self) -> str:
        state = "closed" if self._closing is not None else "loaded" if self._ref else "prewarmed"
        return f"<Sandbox {self.id} {state} {self._ref}>"

    def on_closed(self, callback: Callable[[base.Sandbox], None]) -> None:
        """See `base.Sandbox.on_closed`; at once when it has gone already."""
        # It died while its limits were set.
        if self._closing is not None:
            callback(self)
        else:
            self._on_closed.append(callback)

    def on_output(self, callback: Callable[[output.Lines], None]) -> None:
        """See `base.Sandbox.on_output`."""
        self._on_output = callback

    def show(self, live: output.Live) -> None:
        """See `base.Sandbox.show`."""
        self._channel.show(live)

    async def load(self, revision: model.Revision) -> base.Loaded:
        """See `base.Sandbox.load`. The handler is imported while the limits are being set."""
        self._ref = revision.ref
        # Found here and not at deploy: which form an agent takes is known when it says `ready`.
        if revision.config.buckets and self._channel.objects_form not in self._says.objects:
            return base.Loaded(init_us=0, error=_no_objects(self._channel.objects_form), status=model.Status.INIT_ERROR)
        # The import takes longer, and an attempt may begin once both are done: so the limits cost a claim nothing.
        limiting = asyncio.ensure_future(self._limit(revision.config))
        loaded: base.Loaded | None = None
        try:
            code = await self._place.show(revision.artifact, self._channel)
            placed_at_ms = clock.now_ms()
            loaded = await self._channel.load(revision, code)
            marks = base.Mark("place", placed_at_ms), base.Mark("import", clock.now_ms())
            over = await limiting
            loaded = msgspec.structs.replace(loaded, marks=(*marks, base.Mark("limits", clock.now_ms())))
        except base.SandboxLost:
            if loaded is None or loaded.error is None:
                raise
            over = None  # what was loaded ended the sandbox before its limits were set: that is the function's fault
        finally:
            limiting.cancel()
        if over is None:
            self._has_pre_stop = loaded.error is None and revision.config.pre_stop is not None
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
        if self._has_pre_stop and self._closing is None and not self._channel.is_busy:
            # A handler's `pre_stop` may wait for what never comes; the sandbox is removed all the same.
            await self._stop()
        await asyncio.shield(self._begin_closing())

    async def _stop(self) -> None:
        """Let the function's ``pre_stop`` run."""
        self._has_pre_stop = False
        if self._rest is not None:
            self._rest.end()
        self._channel.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ends.wait(), PRE_STOP_WITHIN_S)

    async def why_gone(self, told: verdicts.Exited | None) -> verdicts.Death:
        """Why the socket has closed. Memory that ran out under the stock's limit is not the function's fault."""
        found = await self._place.why_gone(told)
        # A prewarmed sandbox has the memory of the stock, which is not what the function asked for.
        if isinstance(found, verdicts.OutOfMemory) and not self._limited:
            return verdicts.Vanished("it ran out of memory before its limit was set")
        return found

    def doom(self) -> None:
        """Let nothing more run in this sandbox, and end it."""
        self._place.kill()
        self._begin_closing()

    def keep_output(self, lines: output.Lines) -> None:
        """What is printed between attempts is the function's, and goes to the platform's log, too."""
        if self._on_output is not None:
            self._on_output(lines)
        text = "\n".join(line.text for line in lines)
        _log.info("sandbox_output", extra={"sandbox": self.id, "function": self._ref, "text": text})

    def _on_quiet(self) -> None:
        if self._rest is not None:
            self._rest.begin(self._rest_after_s)

    def _begin_to_rest(self, config: model.FunctionConfig) -> None:
        if self._closing is not None:
            return
        self._rest = self._place.rest()
        if self._rest is not None:
            self._rest.begin(REST_AFTER_S)  # what an import leaves running is nobody's attempt, and not billed
            self._rest_after_s = BACKGROUND_S if config.background else REST_AFTER_S

    async def _limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        over = await self._place.limit(config)
        self._limited = True
        return over

    def _begin_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._ends.set()
            if self._rest is not None:
                self._rest.close()
            self._closing = self._owner.spawn(self._remove(), f"close {self.id}")
            # Before it is removed, which may take seconds: nobody is to choose it meanwhile.
            for callback in self._on_closed:
                callback(self)
        return self._closing

    async def _remove(self) -> None:
        self._channel.close()
        await self._place.remove()


def _no_objects(form: str) -> model.Failure:
    text = f"the agent of this language takes no objects in the form of this sandbox ({form}): declare no buckets"
    return model.Failure("Runtime.NoStreams", text)
