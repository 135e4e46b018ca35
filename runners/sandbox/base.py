"""The port of the sandboxes: an engine makes them, a sandbox holds one revision and runs one attempt at a time.

The life of a sandbox::

    starting ──ready──► prewarmed ──load──► loading ──loaded──► idle ◄──run / ran──► busy
        │                   │                  │                  │                   │
        └───────────────────┴──────────────────┴───── closed ◄────┴───────────────────┘

If user code fails, the outcome says so; if the sandbox itself fails, `load` raises one of the two errors below, and
`run` hands over a `SandboxLost` in the outcome's place.

Whoever uses the port knows no path, no descriptor and no control group, and not that a sandbox is on this host: code is
known by the digest of its artifact, and how it comes to the sandbox is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from faas.core import errors, model
from faas.core.calls import retry
from faas.runtimes import installed, table
from runners.sandbox import output


class EngineUnavailable(errors.Unavailable):
    """The engine does not answer (the Docker daemon is away); nothing was started."""

    code = "engine_unavailable"


class SandboxLost(errors.Unavailable):
    """The sandbox went away, or broke the protocol, for a reason that is not known to be the function's."""

    code = "sandbox_lost"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is fixed when a sandbox starts: its language, its network class and the limits of the stock it is made for.

    ``runtime`` is the name of a `faas.runtimes.port.Runtime`: python3, of which an engine has one version.
    """

    runtime: str
    network: model.Network = model.Network.NONE
    memory_mb: int = 128
    cpu_milli: int = 1000


class EngineRoom(msgspec.Struct, frozen=True, kw_only=True):
    """What a node may share out among sandboxes that do not run on its own machine."""

    memory_mb: int
    processors: int


class Mark(msgspec.Struct, frozen=True):
    """One step on the way to a slot, and the Unix ms at which it ended: where the next one begins.

    ========== ================================================================
    step       what was waited for
    ========== ================================================================
    ``fetch``  the code was brought to this node, or found there
    ``turn``   other sandboxes of this node were started first
    ``start``  the sandbox was made, until its agent was ready
    ``place``  the code was shown to the sandbox
    ``import`` the handler was imported
    ``limits`` memory and processor time were still being limited
    ========== ================================================================
    """

    name: str
    ended_at_ms: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a `load`: ``error`` is None when the handler is ready. ``init_us`` is the time the import took.

    ``marks`` are the steps of it.
    """

    init_us: int
    error: model.Failure | None = None
    status: model.Status = model.Status.OK
    logs: tuple[model.LogLine, ...] = ()
    logs_cut: bool = False
    marks: tuple[Mark, ...] = ()


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a `run`. ``reusable`` is False when the sandbox's state is in doubt and it must be closed.

    ``duration_us`` is the handler's, measured in the sandbox on the monotonic clock; when the sandbox died or timed
    out, it is the time from the runner's send to the end as the runner saw it.
    """

    status: model.Status
    duration_us: int
    memory_peak_mb: int
    body: bytes = b"null"
    is_bytes: bool = False
    error: model.Failure | None = None
    logs: tuple[model.LogLine, ...] = ()
    logs_cut: bool = False
    reusable: bool = True
    wish: retry.Wish | None = None
    """What the exception that the handler raised asks for."""
    remarks: tuple[str, ...] = ()
    """What is to be said of a large result as an HTTP response; of others it is not looked for here."""


Then = Callable[[Ran | SandboxLost], None]
"""Takes the outcome of an attempt, or what kept the platform from having one."""


class Sandbox(Protocol):
    """One container (or process) with the agent in it. It holds one revision, ever."""

    id: str
    spec: Spec
    started_ms: int
    """How long it took from the engine's call to the agent's `ready`."""

    def cpu_us(self) -> int | None:
        """The processor time that all in it has used since it began, in microseconds; None where nobody tells.

        It is the host's account: user code cannot change what it says. It may be asked after the sandbox has gone.
        """

    def on_closed(self, callback: Callable[[Sandbox], None]) -> None:
        """Call ``callback(sandbox)`` once, when the sandbox has gone for whatever reason."""

    def on_output(self, callback: Callable[[tuple[model.LogLine, ...]], None]) -> None:
        """Give what is printed while no attempt runs to ``callback``; what an import prints is the first attempt's."""

    def show(self, live: output.Live) -> None:
        """Show lines to somebody as they are printed, while he wants them; all of them are in a `Ran` as well."""

    async def load(self, revision: model.Revision) -> Loaded:
        """Show the sandbox the revision's code, set the revision's limits, import its handler.

        Raises `SandboxLost`, and what `Engine.fetch` raises when the code has gone since. A failing import is a
        `Loaded` with an error.
        """

    def run(self, invocation: model.Invocation, then: Then) -> None:
        """Run one attempt, bounded by the revision's timeout. The frame is sent before it returns.

        ``then`` is called once, never before this returns, with the outcome, or with `SandboxLost` for the platform's
        own faults. It may start the next attempt, unless the outcome says that the sandbox is not reusable.
        """

    async def close(self) -> None:
        """End the sandbox and remove all it left behind. Safe to call twice."""


class Engine(Protocol):
    """Makes sandboxes of one kind."""

    name: str
    isolates: bool

    @property
    def room(self) -> EngineRoom | None:
        """What a node has for its sandboxes; None where that is a part of the machine that it runs on itself."""

    @property
    def runtimes(self) -> table.Runtimes:
        """The languages that its sandboxes may have; the first is the one that is always kept in stock."""

    @property
    def installed(self) -> Sequence[installed.Installed]:
        """The version that they have of each."""

    async def check(self) -> None:
        """Raise `EngineUnavailable` when no sandbox could be started now."""

    async def fetch(self, artifact: str) -> None:
        """Have the code of this digest at hand for sandboxes. Code that is not to be had costs no sandbox so.

        Raises `errors.NotFound` and `errors.Unavailable`.
        """

    async def start(self, spec: Spec) -> Sandbox:
        """A prewarmed sandbox: it runs the agent and no user code.

        Raises `EngineUnavailable`, also for a runtime that it does not have, or `SandboxLost`.
        """

    async def sweep(self) -> int:
        """Remove what dead runners of this data directory left behind, and what of this one's could not be removed.

        The number of sandboxes removed. Raises `EngineUnavailable`. Call it again and again: an engine may carry out
        what a runner asked for after that runner died.
        """

    async def close(self) -> None:
        """Let go of the engine's own resources (its sandboxes are closed by their owners), and sweep a last time."""
