"""Room for one attempt at a time in a sandbox that holds one revision.

::

    idle ──run──► busy ──ended──► idle | closed
      └─────────sandbox gone─────────► closed
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import msgspec

from faas.core import model, retry, unrun
from faas.queue import invocations
from runners import attempt, naps
from runners.sandbox import base


class Ended(msgspec.Struct, frozen=True):
    """An attempt that is over: its invocation, the entry by which it was claimed (None: handed off), its outcome.

    ``retries`` are the rules for another attempt, None when there is never one, and ``wish`` is what the handler's
    exception asks for. ``config`` says where its record goes. ``naps`` is how many naps of the node there had been when
    it began, and ``caller`` is who was handed off and awaits the outcome.
    """

    invocation: model.Invocation
    entry: str | None
    record: model.Record
    outcome: model.Outcome
    retries: model.Retries | None = None
    wish: retry.Wish | None = None
    config: model.FunctionConfig | None = None
    naps: int = 0
    caller: asyncio.Future[model.Outcome] | None = None

    @property
    def claim(self) -> invocations.Claim | None:
        """How it was claimed."""
        return None if self.entry is None else invocations.Claim(self.entry, self.invocation)


class Owner(Protocol):
    """Who holds the slots of a revision."""

    def attempt_ended(self, slot: Slot, ended: Ended, *, reusable: bool) -> None:
        """The attempt is over; the slot is the owner's again."""


class _Attempt:
    """What is known of the running attempt until it ends."""

    __slots__ = ("caller", "entry", "invocation", "naps", "slot", "waited")

    def __init__(
        self,
        slot: Slot,
        invocation: model.Invocation,
        entry: str | None,
        caller: asyncio.Future[model.Outcome] | None,
        waited: attempt.Waited,
        naps: int,
    ) -> None:
        self.slot = slot
        self.invocation = invocation
        self.entry = entry
        self.caller = caller
        self.waited = waited
        self.naps = naps

    def over(self, ran: asyncio.Future[base.Ran]) -> None:
        self.slot._over(self, ran)


class Slot:
    """One attempt from claim to record. The owner is told of its end, and settles it."""

    def __init__(
        self,
        sandbox: base.Sandbox,
        revision: model.Revision,
        birth: attempt.Birth,
        place: attempt.Place,
        seen_naps: naps.Naps,
        owner: Owner,
    ) -> None:
        self.sandbox = sandbox
        self.idle_since_ms = self.born_at_ms = birth.ready_at_ms
        self.is_open = True
        self._revision = revision
        self._birth: attempt.Birth | None = birth
        self._place = place
        self._naps = seen_naps
        self._owner = owner
        self._running: _Attempt | None = None

    def __repr__(self) -> str:
        state = "busy" if self._running else "idle" if self.is_open else "closed"
        return f"<Slot {self._revision.ref} {state} in {self.sandbox.id}>"

    @property
    def is_busy(self) -> bool:
        """Whether an attempt runs."""
        return self._running is not None

    @property
    def entry(self) -> str | None:
        """The entry by which the running attempt was claimed; None when none runs, or after a hand-off."""
        return self._running.entry if self._running else None

    def running_for_ms(self, now_ms: int) -> int:
        """The age of the running attempt; 0 when none runs."""
        return now_ms - self._running.waited.started_at_ms if self._running else 0

    def hand_off(self, invocation: model.Invocation, caller: asyncio.Future[model.Outcome]) -> None:
        """Run a call whose caller awaits the outcome here. It is sent before this returns."""
        self._run(invocation, None, caller)

    def run(self, claim: invocations.Claim) -> None:
        """Run what was claimed."""
        self._run(claim.invocation, claim.entry, None)

    def _run(
        self, invocation: model.Invocation, entry: str | None, caller: asyncio.Future[model.Outcome] | None
    ) -> None:
        birth, self._birth = self._birth, None
        waited = attempt.waited(invocation.accepted_at_ms, birth, now_ms())
        self._running = _Attempt(self, invocation, entry, caller, waited, self._naps.count)
        self.sandbox.run(invocation).add_done_callback(self._running.over)

    def _over(self, one: _Attempt, future: asyncio.Future[base.Ran]) -> None:
        ended_at_ms = now_ms()
        ran = None if future.cancelled() or future.exception() is not None else future.result()
        if ran is None:
            ended = self._lost(one, ended_at_ms)
        else:
            record = attempt.record(
                one.invocation,
                self._revision,
                one.waited,
                ran,
                self._place,
                sandbox=self.sandbox.id,
                ended_at_ms=ended_at_ms,
            )
            ended = self._ended(one, record, attempt.outcome(record, ran), ran.wish)
        self.idle_since_ms = ended_at_ms
        self._running = None
        reusable = ran is not None and ran.reusable and self.is_open
        self._owner.attempt_ended(self, ended, reusable=reusable)

    def _lost(self, one: _Attempt, ended_at_ms: int) -> Ended:
        record = unrun.lost(one.invocation, self._place.node, ended_at_ms, final=True)
        record = msgspec.structs.replace(
            record,
            sandbox=self.sandbox.id,
            started_at_ms=one.waited.started_at_ms,
            error=model.Failure("Platform.Lost", "the sandbox went away while this attempt ran"),
        )
        return self._ended(one, record, model.Outcome(record=record))

    def _ended(
        self, one: _Attempt, record: model.Record, outcome: model.Outcome, wish: retry.Wish | None = None
    ) -> Ended:
        config, invocation = self._revision.config, one.invocation
        retries = retry.policy(config, invocation.mode, invocation.trigger_place)
        return Ended(invocation, one.entry, record, outcome, retries, wish, config, one.naps, one.caller)


def now_ms() -> int:
    """Unix milliseconds, as records have them."""
    return time.time_ns() // 1_000_000
