"""One revision on one node: its slots, and whose turn it is when one of them is free.

A sync call that reached this node is handed off to a free slot, or waits in line for one. What waits in Redis is
claimed (`runners.claiming`). When both wait for a slot, `line_is_next` says who gets it.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from faas.core import clock, errors, model
from faas.core.calls import dispatch, unrun
from faas.queue import invocations, parking
from runners import ahead, claiming, concurrency, finishing, line, settle
from runners import slot as slots
from runners.journal import writer

_GAPS_KEPT = 64
_WEIGHT = 0.2
_SHORTEST_MS = 0.2
"""What an attempt costs its slot at least, with all that is done around the handler."""

_TOLD_AFTER_MS = 1_000
"""What has ended before the next heartbeat would be counted twice until then: as running, and as done."""

_REDIS_EVERY_S = 0.1
"""What waits in Redis has a turn that often at least, however long the line is."""


class Around(NamedTuple):
    """What a lane works with. The functions at its end are told the lane's revision."""

    node: str
    queue: invocations.Queue
    parking: parking.Parking
    journal: writer.Journal
    settler: settle.Settler
    budget: line.Budget
    limits: line.LineLimits
    can_hand_off: Callable[[], bool]
    """Whether a hand-off would be written down."""
    end: Callable[[str, slots.Slot], None]
    """End a slot whose sandbox may not be used again."""
    gives_up: Callable[[str], bool]
    """Whether the slot that has just come free is for another revision, which has less."""
    is_short: Callable[[str], None]
    """Something waits for the revision, and no slot is free."""
    is_stopped: Callable[[str], bool]
    """Whether a function may not run now, since a budget is reached. It is told the function's name."""


def line_is_next(
    *, in_line: int, redis_waits: bool, last_was_line: bool, last_claimed: model.Mode, since_s: float
) -> bool:
    """Whether a free slot goes to the line, and not to what waits in Redis.

    Sync calls come before async ones wherever they wait, and the two places of sync calls take turns. What waits in
    Redis is looked at once in a while anyway (``since_s`` is how long ago it was), since nobody else tells what it is.
    """
    if not in_line or not redis_waits:
        return in_line > 0
    if since_s >= _REDIS_EVERY_S:
        return False
    return not last_was_line or last_claimed is model.Mode.ASYNC


class Lane:
    """The slots of a revision, its line, and its claims."""

    def __init__(self, revision: model.Revision, around: Around) -> None:
        self.revision = revision
        self.ref = revision.ref
        self.is_draining = False
        self.slots: set[slots.Slot] = set()
        self.idle: list[slots.Slot] = []
        self.gaps_ms: collections.deque[int] = collections.deque(maxlen=_GAPS_KEPT)
        self.gains = concurrency.Gains()
        self.line = line.Line(around.limits, around.budget, self._left)
        self.claims = claiming.Claiming(
            around.queue,
            around.parking,
            around.node,
            self.ref,
            claiming.Slots(
                self.free,
                self.wanted,
                self.idle_for_s,
                self.may_claim,
                self.run,
                lambda: around.is_short(self.ref),
                self.settle_down,
            ),
        )
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._takes_hand_offs = not revision.config.idempotent
        self._finishes = finishing.Finishes(self._send_finishes)
        self._ahead = ahead.Ahead(self.claims.give_back)
        self._running: dict[str, slots.Slot] = {}
        self._disowned: set[str] = set()
        self._attempt_ms = 0.0
        self._last_begun_ms = 0
        self._last_claimed = model.Mode.SYNC
        self._last_was_line = False
        self._serves = False

    def __repr__(self) -> str:
        return f"<Lane {self.ref} {len(self.idle)} of {len(self.slots)} idle, {len(self.line)} in line>"

    @property
    def busy(self) -> int:
        """Slots with a running attempt."""
        return sum(slot.is_busy for slot in self.slots)

    @property
    def holds_nothing(self) -> bool:
        """Whether nothing is claimed, to be settled, or in line."""
        return not (self._running or self._finishes or self._ahead or self.line)

    @property
    def handed_off(self) -> int:
        """Calls that did not come from the queue and have run for so long that others are told of them."""
        now = clock.now_ms()
        long = [slot for slot in self.slots if slot.running_for_ms(now) >= _TOLD_AFTER_MS]
        # What was claimed from the queue is counted as running by Redis.
        return len(long) - len(set(long) & set(self._running.values()))

    @property
    def is_parked(self) -> bool:
        """Whether a read waits in Redis for what comes."""
        return self.claims.is_parked

    def attempt_ms(self) -> float:
        """The mean length of recent attempts, or the age of the oldest running one if longer; 0.0 when unknown."""
        now = clock.now_ms()
        return max(self._attempt_ms, *(float(slot.running_for_ms(now)) for slot in self.slots), 0.0)

    def turn_ms(self) -> float:
        """How long one has to wait for a slot: the mean attempt, or the age of the youngest if none has ended since."""
        now = clock.now_ms()
        return max(self._attempt_ms, float(min((slot.running_for_ms(now) for slot in self.slots), default=0)))

    # -- sync calls that reached this node

    def offer(self, invocation: model.Invocation, caller: dispatch.Caller) -> bool:
        """See `faas.core.calls.dispatch.Dispatch.offer`."""
        if self.is_draining or not self._takes_hand_offs or not self._has_room():
            return False  # what may be tried again waits in Redis meanwhile, whole
        # The whole of the warm path: nobody came before this call, here or in Redis, and a slot is free.
        if len(self.idle) > self.claims.kept and not self.line and not self.claims.something_waits:
            self._hand_off(self.idle.pop(), invocation, caller)
            if not self.idle:
                self.claims.unpark()
            return True
        # So many attempts end in the time of one, and each lets one call out of the line.
        turn_ms = self._attempt_ms / max(len(self.slots), 1)
        self.line.add(invocation, caller, turn_ms=turn_ms)
        self._around.is_short(self.ref)
        if self.idle:
            # A slot is free and others come first: they are served at the end of the turn, when all that came in it is
            # known.
            self._loop.call_soon(self.settle_down)
        return True

    def _hand_off(self, slot: slots.Slot, invocation: model.Invocation, caller: dispatch.Caller) -> None:
        slot.run(invocation, partial(self._handed_off_ended, caller))
        # The agent works already while this is packed; it is written in the same turn of the event loop.
        self._around.journal.began(invocation)
        self._last_was_line = True
        self._begun()

    def _handed_off_ended(self, caller: dispatch.Caller, slot: slots.Slot, ended: slots.Ended) -> None:
        # The answer leaves once the end is written down: what was answered is recorded so.
        self._around.journal.ended(ended.record, partial(caller.answer, ended.outcome))
        self._free(slot)
        # With others in line there are more ends in this turn, and one write for all of them is cheaper.
        if not self.line:
            self._around.journal.write_now()

    def _left(self, invocation: model.Invocation) -> None:
        """Settle a call in line whose client has hung up."""
        memory_mb = self.revision.config.memory_mb
        self._around.journal.ended(unrun.rejected(invocation, memory_mb, clock.now_ms()), _nothing)

    # -- slots come and go

    def add(self, slot: slots.Slot) -> None:
        """Take a slot that is ready; it was most likely made because something waits."""
        self.slots.add(slot)
        self.idle.append(slot)
        self.settle_down()
        self.claims.heard()

    def remove(self, slot: slots.Slot) -> None:
        """Drop a slot whose sandbox is gone or going."""
        slot.is_open = False
        self.slots.discard(slot)
        if slot in self.idle:
            self.idle.remove(slot)
            if not self.idle:
                self.claims.unpark()

    def _begun(self) -> None:
        now = clock.now_ms()
        if self._last_begun_ms:
            self.gaps_ms.append(max(now - self._last_begun_ms, 0))
        self._last_begun_ms = now

    def _free(self, slot: slots.Slot) -> None:
        """Let the slot of an attempt that is over serve whoever is next."""
        length_ms = max(slot.took_us / 1000, _SHORTEST_MS)
        # The first attempt counts whole: an average that began at nothing would promise short turns for a while.
        self._attempt_ms += (length_ms - self._attempt_ms) * (_WEIGHT if self._attempt_ms else 1.0)
        if self.line or self._ahead or self.claims.something_waits:
            # Only while something waits are all slots busy, and what they take comparable with what fewer of them took.
            self.gains.add(len(self.slots), length_ms)
        # Asked in this order: a sandbox that has to go anyway does not pay what is owed to another revision.
        if not slot.is_reusable or self._around.gives_up(self.ref):
            self._around.end(self.ref, slot)
        else:
            self.idle.append(slot)
        self._serve_soon()

    def _serve_soon(self) -> None:
        """Serve who is next: at the end of this turn of the event loop where that saves calls of Redis."""
        if self._finishes or self.claims.something_waits:
            # Whoever stands in line may come first, and that is decided at the end of the turn.
            if not self.line:
                self._run_ahead()
            if not self._serves:
                self._serves = True
                self._loop.call_soon(self._serve)
        elif self.line:
            self._serve_line()
        else:
            self._stand_by()

    def _serve(self) -> None:
        self._serves = False
        self.settle_down()

    def settle_down(self) -> None:
        """Give free slots to who is next, send what has ended, and get ready to be told of what comes."""
        self._serve_line()
        self._run_ahead()
        if self._finishes_may_wait():
            return
        # Ends go first: a claim goes along with them in one step.
        self._send_finishes()
        if self.is_draining:
            return
        self.claims.ask()
        self._stand_by()

    def _stand_by(self) -> None:
        if self.idle:
            # After a hand-off another is likely, and should not have to fight a parked read for its slot.
            self.claims.stand_by(claiming.PARK_AFTER_S if self._last_was_line else 0.0)

    def _serve_line(self) -> None:
        while self.line:
            if not self._can_hand_off():
                self.line.disperse()  # whoever takes them tells them why nobody can
                break
            if len(self.idle) <= self.claims.kept or not self._line_is_next():
                break
            found = self.line.next()
            if found is None:
                return
            self._hand_off(self.idle.pop(), found.invocation, found.caller)
            # Nearly always one slot has come free, and nothing more is to be looked at for it.
            if not self.idle:
                break
        if not self.idle:
            self.claims.unpark()

    def _can_hand_off(self) -> bool:
        return self._around.can_hand_off() and self._has_room()

    def _has_room(self) -> bool:
        return self._around.settler.ledger_keeps_up(self.revision.function)

    def _line_is_next(self) -> bool:
        redis_waits = self.claims.something_waits or len(self._ahead) > 0
        # Whoever waits here has nobody to take turns with, as a rule, and no clock needs to be read.
        return not redis_waits or line_is_next(
            in_line=len(self.line),
            redis_waits=redis_waits,
            last_was_line=self._last_was_line,
            last_claimed=self._last_claimed,
            since_s=clock.steady_s() - self.claims.asked_at,
        )

    # -- what was claimed

    def free(self) -> int:
        """See `claiming.Slots.free`."""
        return len(self.idle) - self.claims.kept

    def wanted(self) -> int:
        """See `claiming.Slots.wanted`."""
        if not self.may_claim():
            return 0
        may_wait = ahead.most_ahead(len(self.slots), self._attempt_ms) - len(self._ahead)
        return max(self.free() + may_wait, 0)

    def idle_for_s(self) -> float:
        """See `claiming.Slots.idle_for_s`."""
        return max(clock.now_ms() - max((slot.idle_since_ms for slot in self.idle), default=0), 0) / 1000

    def may_claim(self) -> bool:
        """See `claiming.Slots.may_claim`. The node wakes its lanes when the ledger keeps up again."""
        function = self.revision.function
        may_run = not self.is_draining and not self._around.is_stopped(function)
        return may_run and self._around.settler.may_begin(function)

    def run(self, claims: Sequence[invocations.Claim]) -> None:
        """See `claiming.Slots.run`."""
        for claim in claims:
            # Given back already, when the node was told of it by Redis and could not know that it was still to come.
            if claim.entry in self._disowned:
                continue
            if self.is_draining or self._around.is_stopped(self.revision.function):
                self.claims.give_back(claim)
            # What was claimed ahead came first.
            elif self.idle and not self._ahead:
                self._run(claim)
            elif len(self._ahead) < ahead.most_ahead(len(self.slots), self._attempt_ms):
                self._ahead.add(claim)
            else:
                self.claims.give_back(claim)
        self._run_ahead()
        if not self.idle:
            self.claims.unpark()

    def _run(self, claim: invocations.Claim) -> None:
        self._last_was_line = False
        self._last_claimed = claim.invocation.mode
        self._begun()
        slot = self.idle.pop()
        self._running[claim.entry] = slot
        slot.run(claim.invocation, partial(self._claimed_ended, claim))

    def _run_ahead(self) -> None:
        while self.idle and (claim := self._ahead.next()) is not None:
            self._run(claim)

    def _claimed_ended(self, claim: invocations.Claim, slot: slots.Slot, ended: slots.Ended) -> None:
        self._running.pop(claim.entry, None)
        self._finishes.add(claim, ended)
        self._free(slot)

    def _finishes_may_wait(self) -> bool:
        """Whether what has ended waits some milliseconds for more: nobody waits for it, and no slot for what comes."""
        most = ahead.most_ahead(len(self.slots), self._attempt_ms)
        return len(self._ahead) > most // 2 and self._finishes.may_wait()

    def _send_finishes(self) -> None:
        """Settle what has ended, and claim along with it for the slots that are free, if something waits."""
        ended = self._finishes.take()
        if not ended:
            return
        # Only then is something known to wait; a claim that is under way already must not be doubled.
        wanted = self.wanted() if self.claims.state is claiming.State.BEHIND else 0
        if wanted:
            self.claims.begin(wanted, max(self.free(), 0))
        self._around.settler.settle(self.revision, ended, wanted, partial(self._settled, wanted > 0))

    def _settled(self, asked: bool, finished: invocations.Finished | None) -> None:
        if asked and finished is None:
            self.claims.nothing()
        elif asked and finished is not None:
            self.claims.found(finished.claims, more_wait=finished.left > 0)
        elif finished is not None:
            self.claims.tell(finished.left)

    def disown(self, entry: str) -> bool:
        """Let an entry be given back that this node claimed long ago; False when it runs here.

        Its claim may yet be heard of, late (the node was paused), and is not run then.
        """
        if entry in self._running or self._ahead.holds(entry) or self._finishes.holds(entry):
            return False
        self._disowned.add(entry)
        return True

    def hold(self, why: errors.FaasError) -> None:
        """Begin nothing for now: who stands in line is told why, and what was claimed and has not begun waits again."""
        self.line.refuse(why)
        self._ahead.clear()
        self.claims.unpark()

    # -- the end

    def rest(self) -> None:
        """Start no more attempts; those that run go on."""
        self.is_draining = True
        self.line.disperse()
        self._ahead.clear()
        self.claims.rest()

    async def rested(self) -> None:
        """Wait until the parked read is over, and what it claimed at the last moment is given back."""
        await self.claims.rested()


def _nothing() -> None:
    pass
