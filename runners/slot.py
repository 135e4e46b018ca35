"""Room for one attempt at a time in a sandbox that holds one revision.

::

    idle ──run──► busy ──ended──► idle | closed
      └─────────sandbox gone─────────► closed

A slot knows no lane, no queue and no caller: it gives the attempt that is over to the function that it was run with.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from faas.core import clock, model
from faas.core.calls import retry, unrun
from faas.core.money import billing
from faas.queue import live_lines
from runners import attempt
from runners.sandbox import base


class Ended(msgspec.Struct, frozen=True):
    """An attempt that is over: its invocation, its record, what its caller gets, and what its exception asked for."""

    invocation: model.Invocation
    record: model.Record
    outcome: model.Outcome
    wish: retry.Wish | None = None


Then = Callable[["Slot", Ended], None]

_FOLLOWS_WITHIN_MS = 2
"""An attempt that comes so soon after the one before has its processor time counted from where that one ended."""


class Slot:
    """A place for attempts, each from its start to its record."""

    def __init__(
        self, sandbox: base.Sandbox, revision: model.Revision, birth: attempt.Birth, place: attempt.NodeRates
    ) -> None:
        self.sandbox = sandbox
        self.idle_since_ms = self.born_at_ms = birth.ready_at_ms
        self.is_open = True
        self.is_reusable = True
        """Whether the sandbox may be used again after the attempt that has just ended."""
        self.took_us = 0
        """How long the last attempt took, as the node saw it."""
        self.peak_mb = 0
        """The memory that the last attempt had at most."""
        self._revision = revision
        self._birth: attempt.Birth | None = birth
        self._place = place
        self._invocation: model.Invocation | None = None
        self._waited = attempt.Waited(0, 0)
        self._background_ms = 0
        self._started_ns = 0
        self._then: Then | None = None
        self._last = (sandbox.id, 0)
        self._cpu_us: int | None = None
        self._last_chain = ""

    def __repr__(self) -> str:
        state = "busy" if self.is_busy else "idle" if self.is_open else "closed"
        return f"<Slot {self._revision.ref} {state} in {self.sandbox.id}>"

    @property
    def is_busy(self) -> bool:
        """Whether an attempt runs."""
        return self._invocation is not None

    def running_for_ms(self, now_ms: int) -> int:
        """The age of the running attempt; 0 when none runs."""
        return max(now_ms - self._waited.started_at_ms, 0) if self.is_busy else 0

    def run(self, invocation: model.Invocation, then: Then) -> None:
        """Run an attempt, which is sent before this returns. ``then`` is called with its end, once, later."""
        # Only the first attempt in a sandbox waited for it: the next ones are no cold starts.
        birth, self._birth = self._birth, None
        self._started_ns = clock.now_ns()
        self._waited = attempt.waited(invocation.accepted_at_ms, birth, self._started_ns // 1_000_000)
        # Before its first attempt a sandbox holds no work of the function that could have gone on.
        started_ms = self._waited.started_at_ms
        if self._revision.config.background and birth is None:
            self._background_ms = billing.background_ms(self.idle_since_ms, started_ms)
        # What an import used, and what goes on between attempts unbilled, is no attempt's. Between two that follow
        # one another closely nothing much does, and a reading takes as long as a few percent of what a call costs.
        elif birth is not None or not 0 <= started_ms - self.idle_since_ms <= _FOLLOWS_WITHIN_MS:
            self._cpu_us = self.sandbox.cpu_us()
        self._invocation = invocation
        self._then = then
        self.sandbox.run(invocation, self._over)

    def printed(self, lines: tuple[model.LogLine, ...]) -> model.Printed:
        """What the sandbox printed since its last attempt ended, as that attempt's."""
        invocation_id, number = self._last
        revision = self._revision
        return model.Printed(
            function=revision.function,
            revision=revision.number,
            invocation_id=invocation_id,
            attempt=number,
            lines=lines,
        )

    def printed_now(self, lines: tuple[model.LogLine, ...], *, between: bool) -> live_lines.PrintedNow:
        """Lines of the attempt that runs; of the last one, when they were printed ``between`` attempts."""
        running, revision = self._invocation, self._revision
        of, chain = self._last, self._last_chain
        if running is not None and not between:
            of, chain = (running.id, running.attempt), running.chain_id
        return live_lines.PrintedNow(revision.function, revision.number, *of, chain, lines)

    def _over(self, ran: base.Ran | base.SandboxLost) -> None:
        invocation, then = self._invocation, self._then
        if invocation is None or then is None:
            raise RuntimeError("a sandbox ended an attempt that nobody asked for")
        now_ns = clock.now_ns()
        # The wall clock may have been set back meanwhile.
        self.took_us = max(now_ns - self._started_ns, 0) // 1_000
        self.idle_since_ms = now_ns // 1_000_000
        # Before it is told: who hears of the end may run the next attempt here at once.
        self._invocation = self._then = None
        self._last = (invocation.id, invocation.attempt)
        self._last_chain = invocation.chain_id
        if isinstance(ran, base.SandboxLost):
            self.is_reusable = False
            then(self, self._lost(invocation))
            return
        cpu_us = self._used_cpu_us()
        if remarks := self._place.remarks.of(invocation, ran, self.idle_since_ms):
            ran = msgspec.structs.replace(ran, logs=(*ran.logs, *remarks))
        record = attempt.record(
            invocation,
            self._revision,
            self._waited,
            ran,
            self._place,
            sandbox=self.sandbox.id,
            ended_at_ms=self.idle_since_ms,
            background_ms=self._background_ms,
            cpu_us=cpu_us,
        )
        self.peak_mb = record.memory_peak_mb
        # The sandbox may have gone between its answer and now.
        self.is_reusable = ran.reusable and self.is_open
        then(self, Ended(invocation, record, attempt.outcome(record, ran), ran.wish))

    def _used_cpu_us(self) -> int | None:
        """The processor time that the attempt used which has just ended."""
        before, self._cpu_us = self._cpu_us, self.sandbox.cpu_us()
        return None if before is None or self._cpu_us is None else max(self._cpu_us - before, 0)

    def _lost(self, invocation: model.Invocation) -> Ended:
        record = unrun.lost(invocation, self._place.node, self.idle_since_ms, final=True)
        record = msgspec.structs.replace(
            record,
            sandbox=self.sandbox.id,
            started_at_ms=self._waited.started_at_ms,
            error=model.Failure("Platform.Lost", "the sandbox went away while this attempt ran"),
        )
        return Ended(invocation, record, model.Outcome(record=record))
