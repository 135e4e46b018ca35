"""One revision on one node: its slots, and the ways in which work reaches them.

A sync call is handed to an idle slot, or waits in a short line for one. What waits in Redis is claimed: along with the
finish of the attempt before it while something is known to wait (``has_backlog``), by a claim when a slot comes free or
word comes that something waits, and by a read that is parked once a slot has been idle for some milliseconds. While
something waits in Redis nothing is handed off, also not to those in line: the queue goes first.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import hiredis

from faas.core import errors, model
from faas.queue import invocations, parking
from runners import line, settling
from runners import slot as slots

_PARK_AFTER_S = 0.002
_GAPS_KEPT = 64
_WEIGHT = 0.2
_SHORTEST_MS = 0.2
"""What an attempt costs its slot at least, with all that is done around the handler."""

_log = logging.getLogger(__name__)


class Host(Protocol):
    """What a lane needs of the node around it."""

    queue: invocations.Queue
    parking: parking.Parking
    settler: settling.Settler
    node: str

    def can_hand_off(self) -> bool:
        """Whether a hand-off would be written down: Redis writes, the node has its lease, the ledger keeps up."""

    def enqueue(self, lane: Lane, invocation: model.Invocation, caller: line.Caller) -> None:
        """Let a call that was to be handed off go through the queue after all."""

    def discard(self, lane: Lane, slot: slots.Slot) -> None:
        """A slot whose sandbox may not be used again."""

    def short_of_slots(self, lane: Lane) -> None:
        """Something waits for the revision, and no slot is idle."""


class Lane:
    """The slots of a revision. ``making`` counts those that are on their way."""

    def __init__(self, revision: model.Revision, host: Host) -> None:
        self.revision = revision
        self.ref = revision.ref
        self.making = 0
        self.has_backlog = False
        self.was_current = False
        self.is_retired = False
        self.is_draining = False
        self.users = 0
        """Tasks that see to it; it stays on its node for as long as there are any."""
        self.gives_up = 0
        """Slots to close at the end of their attempts, for another revision that waits and has less."""
        self.slots: set[slots.Slot] = set()
        self.idle: list[slots.Slot] = []
        self.gaps_ms: collections.deque[int] = collections.deque(maxlen=_GAPS_KEPT)
        self._host = host
        self._line = line.Line(lambda invocation, caller: host.enqueue(self, invocation, caller))
        self._was_handed = False
        self._last_claimed: model.Mode | None = None
        self._loop = asyncio.get_running_loop()
        self._attempt_ms = 0.0
        self._last_begun_ms = 0
        self._claiming = False
        self._parked: parking.ParkedRead | None = None
        self._park_timer: asyncio.TimerHandle | None = None
        self._park_task: asyncio.Task[None] | None = None
        self._disowned: set[str] = set()

    def __repr__(self) -> str:
        return f"<Lane {self.ref} {len(self.idle)} of {len(self.slots)} idle, {self.making} in the making>"

    @property
    def total(self) -> int:
        """Slots that exist or are being made."""
        return len(self.slots) + self.making

    @property
    def busy(self) -> int:
        """Slots with a running attempt."""
        return sum(slot.is_busy for slot in self.slots)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Stay on the node during the block."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    @property
    def is_parked(self) -> bool:
        """Whether a read waits in Redis for what comes."""
        return self._parked is not None

    def attempt_ms(self) -> float:
        """The mean length of recent attempts, or the age of the oldest running one if longer; 0.0 when unknown."""
        now = slots.now_ms()
        return max(self._attempt_ms, *(float(slot.running_for_ms(now)) for slot in self.slots), 0.0)

    @property
    def _may_claim(self) -> bool:
        """Whether what waits in Redis may begin here. The node wakes its lanes when the ledger keeps up again."""
        return not self.is_draining and self._host.settler.may_begin

    # -- work comes

    def offer(self, invocation: model.Invocation) -> asyncio.Future[model.Outcome] | None:
        """Hand a call to an idle slot, or soon to one. None: enqueue it."""
        if self.is_draining or self.revision.config.idempotent:
            return None  # what may be tried again waits in Redis meanwhile, whole
        if self.idle and not self.has_backlog:
            caller: line.Caller = self._loop.create_future()
            self._hand_off(self.idle.pop(), invocation, caller)
            if not self.idle:
                self._unpark()
            return caller
        if not self._passes_in_redis() and self._line.has_room(len(self.slots), self._attempt_ms):
            return self._line.add(invocation)
        self.has_backlog = True  # the caller is about to enqueue
        return None

    def _passes_in_redis(self) -> bool:
        """Whether async work waits there, which a sync call passes in the queue and in line would have to wait for."""
        return self.has_backlog and self._last_claimed is model.Mode.ASYNC

    def _hand_off(self, slot: slots.Slot, invocation: model.Invocation, caller: line.Caller) -> None:
        slot.hand_off(invocation, caller)
        # The agent works already while this is packed; it leaves in the same turn of the event loop.
        self._host.queue.hand_off(self._host.node, invocation)
        self._was_handed = True
        self._begun()

    def wake(self) -> None:
        """Something waits for the revision."""
        self.has_backlog = True
        self._claim()

    def add(self, slot: slots.Slot) -> None:
        """A slot is ready; it was most likely made because something waits."""
        self.slots.add(slot)
        self.idle.append(slot)
        self.wake()

    def remove(self, slot: slots.Slot) -> None:
        """The slot's sandbox is gone or going."""
        slot.is_open = False
        self.slots.discard(slot)
        if slot in self.idle:
            self.idle.remove(slot)
            if not self.idle:
                self._unpark()
        if not self.slots:
            self._line.disperse()

    def disown(self, entry: str) -> bool:
        """An entry that this node claimed long ago is to be given back; False when it runs here.

        Its claim may yet be heard of, late (the node was paused), and is not run then.
        """
        if any(slot.entry == entry for slot in self.slots):
            return False
        self._disowned.add(entry)
        return True

    def _begun(self) -> None:
        now = slots.now_ms()
        if self._last_begun_ms:
            self.gaps_ms.append(max(now - self._last_begun_ms, 0))
        self._last_begun_ms = now

    def _run(self, claims: list[invocations.Claim] | tuple[invocations.Claim, ...]) -> None:
        """Run what was claimed; what finds no slot any more goes back at once, for another to run."""
        for claim in claims:
            if claim.entry in self._disowned:
                continue
            if self.idle and not self.is_draining:
                self._was_handed = False
                self._last_claimed = claim.invocation.mode
                self._begun()
                self.idle.pop().run(claim)
            else:
                self._give_back(claim)
        if not self.idle:
            self._unpark()

    def _give_back(self, claim: invocations.Claim) -> None:
        task = self._loop.create_task(self._released(claim), name=f"release {self.ref}")
        task.add_done_callback(_say_why)

    async def _released(self, claim: invocations.Claim) -> None:
        await self._host.queue.release(claim)

    def _claim(self) -> None:
        if self._claiming or not self.idle or not self._may_claim:
            return
        self._claiming = True
        asked = len(self.idle)
        answer = self._host.queue.send_claim(self._host.node, self.ref, asked)
        answer.add_done_callback(partial(self._claimed, asked))

    def _claimed(self, asked: int, answer: asyncio.Future[Any]) -> None:
        self._claiming = False
        if answer.exception() is not None:
            self.has_backlog = False
            return
        claims = invocations.claims(answer.result())
        self.has_backlog = len(claims) >= asked
        self._run(claims)
        self._settle_down()

    # -- attempts end

    def attempt_ended(self, slot: slots.Slot, ended: slots.Ended, *, reusable: bool) -> None:
        """See `slots.Owner`. The slot is free at once, unless something waits: then the finish brings it along."""
        length_ms = max(ended.record.duration_us / 1000, _SHORTEST_MS)
        self._attempt_ms += (length_ms - self._attempt_ms) * (_WEIGHT if self._attempt_ms else 1.0)
        if self.gives_up and reusable:
            self.gives_up -= 1
            reusable = False
        claim_next = 1 if reusable and self.has_backlog and self._may_claim else 0
        self._host.settler.settle(ended, claim_next, partial(self._settled, slot if claim_next else None))
        if not reusable:
            self._host.discard(self, slot)
        elif not claim_next:
            self._free(slot)

    def _settled(self, slot: slots.Slot | None, finished: invocations.Finished | None) -> None:
        self.has_backlog = finished is not None and finished.left > 0
        if slot is not None and slot.is_open:
            self.idle.append(slot)
        if finished is not None and finished.claims:
            self._run(finished.claims)
        self._settle_down()

    def _free(self, slot: slots.Slot) -> None:
        self.idle.append(slot)
        self._settle_down()

    def _settle_down(self) -> None:
        """After anything changed: claim what is known to wait, or get ready to be told of what comes."""
        if self.is_draining:
            return
        if self.has_backlog:
            if self.idle:
                self._claim()
            else:
                self._host.short_of_slots(self)
            return
        self._serve_line()
        if self.idle and self._park_timer is None and self._park_task is None:
            self._park_timer = self._loop.call_later(self._park_after_s(), self._maybe_park)

    def _serve_line(self) -> None:
        """Those in line have their turn when nothing waits in Redis, so a backlog there does not grow by them."""
        while self.idle and self._host.can_hand_off():
            found = self._line.next()
            if found is None:
                return
            self._hand_off(self.idle.pop(), *found)

    # -- parking

    def _maybe_park(self) -> None:
        self._park_timer = None
        if not self.idle or self._park_task is not None or not self._may_claim:
            return
        idle_for_s = (slots.now_ms() - max(slot.idle_since_ms for slot in self.idle)) / 1000
        if self.has_backlog or 0 <= idle_for_s < self._park_after_s():
            self._park_timer = self._loop.call_later(_PARK_AFTER_S, self._maybe_park)
            return
        self._park_task = self._loop.create_task(self._park(), name=f"park {self.ref}")
        self._park_task.add_done_callback(self._unparked)

    def _park_after_s(self) -> float:
        """After a hand-off another is likely, and should not have to fight a parked read for its slot."""
        return _PARK_AFTER_S if self._was_handed else 0.0

    async def _park(self) -> None:
        read = await self._host.parking.take()
        try:
            while self.idle and self._may_claim:
                self._parked = read
                claims = await read.claim(self._host.queue, self._host.node, self.ref, len(self.idle))
                self._parked = None
                self._run(claims)
                if claims:
                    return
        except asyncio.CancelledError:
            read.close()
            raise
        finally:
            self._parked = None
            self._host.parking.give_back(read)

    def _unpark(self) -> None:
        read, self._parked = self._parked, None
        if read is not None:
            read.wake(self._host.queue)

    def _unparked(self, task: asyncio.Task[None]) -> None:
        self._park_task = None
        if not task.cancelled():
            _say_why(task)
            if task.exception() is None:
                self._settle_down()

    def rest(self) -> None:
        """Start no more attempts; those that run go on."""
        self.is_draining = True
        self._line.disperse()
        if self._park_timer is not None:
            self._park_timer.cancel()
        self._unpark()

    async def rested(self) -> None:
        """Wait until the parked read is over, giving back what it may have claimed at the last moment."""
        if self._park_task is not None:
            await asyncio.wait({self._park_task})

    async def renew(self) -> None:
        """After Redis was away: make sure of the queues, and look for what waits. Raises `errors.Unavailable`."""
        await self._host.queue.prepare(self.ref)
        self.has_backlog = False
        if self.slots:
            self.wake()


def _say_why(task: asyncio.Task[None]) -> None:
    """What was claimed and could not be given back is taken over when this node's lease lapses or at its end."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, errors.Unavailable | hiredis.HiredisError):
        _log.debug("claim_interrupted", extra={"reason": str(error)})
    elif error is not None:
        _log.error("claim_failed", exc_info=error)
