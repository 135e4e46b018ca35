"""How the work of one revision that waits in Redis reaches the slots of one node.

::

               heard, room               fewer than asked
    quiet ───────────────────► asking ─────────────────────► quiet
     │ ▲ │ heard, no room       ▲  │ as many as asked, no room
     │ │ └──────► behind ───────┘  └──────► behind
     │ │             room
     │ └── woken ──┐
     └─► parked ───┴─ heard ─► behind      rest, from anywhere ──► resting

Nothing is known to wait when it is ``quiet``; something waits and no slot is free for it when it is ``behind``.
``asking``, a claim is under way, alone or along with finishes, and so many slots are kept for its answer, for
`KEPT_FOR_S`. ``parked``, a read waits in Redis for what comes. Decisions are in `NEXT`; the class performs them.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from faas.core import clock, errors
from faas.queue import invocations, parking

PARK_AFTER_S = 0.002

KEPT_FOR_S = 0.1
"""A Redis that takes longer to answer a claim stands still, and may for a minute; sync calls need none of it."""

_log = logging.getLogger(__name__)


class State(enum.Enum):
    """What is known of the work that waits in Redis."""

    QUIET = "quiet"
    BEHIND = "behind"
    ASKING = "asking"
    PARKED = "parked"
    RESTING = "resting"


class Event(enum.Enum):
    """What happens to it."""

    HEARD = "heard"
    """Something waits, and no slot is free for it."""
    ASK = "ask"
    FEWER = "fewer"
    """The answer brought fewer than were asked for, or none came."""
    ALL = "all"
    PARK = "park"
    WOKEN = "woken"
    REST = "rest"


# As names of this module, as these two are asked about several times in each call: in its class a member of an
# enumeration is found in 75 ns, and here in 10.
_BEHIND, _ASKING = State.BEHIND, State.ASKING

NEXT: Mapping[tuple[State, Event], State] = {
    (State.QUIET, Event.HEARD): State.BEHIND,
    (State.QUIET, Event.ASK): State.ASKING,
    (State.QUIET, Event.PARK): State.PARKED,
    (State.BEHIND, Event.HEARD): State.BEHIND,
    (State.BEHIND, Event.ASK): State.ASKING,
    (State.BEHIND, Event.FEWER): State.QUIET,
    (State.BEHIND, Event.WOKEN): State.BEHIND,
    (State.ASKING, Event.HEARD): State.ASKING,
    (State.ASKING, Event.FEWER): State.QUIET,
    (State.ASKING, Event.ALL): State.BEHIND,
    (State.ASKING, Event.WOKEN): State.ASKING,
    (State.QUIET, Event.WOKEN): State.QUIET,
    (State.PARKED, Event.HEARD): State.BEHIND,
    (State.PARKED, Event.WOKEN): State.QUIET,
    **{(state, Event.REST): State.RESTING for state in State},
    **{(State.RESTING, event): State.RESTING for event in Event},
}


class Impossible(RuntimeError):
    """An event came in a state for which none is drawn."""


def after(state: State, event: Event) -> State:
    """The state that follows. Raises `Impossible`."""
    try:
        return NEXT[state, event]
    except KeyError:
        raise Impossible(f"{event.value} while {state.value}") from None


class Slots(NamedTuple):
    """What claiming asks of the slots that it works for, and has them do."""

    free: Callable[[], int]
    """Slots that could run something now."""
    wanted: Callable[[], int]
    """How many may be claimed now: for the free slots, and some ahead where attempts are short."""
    idle_for_s: Callable[[], float]
    """For how long the one that was used last has been idle."""
    may_claim: Callable[[], bool]
    """Whether what waits may begin here now."""
    run: Callable[[Sequence[invocations.Claim]], None]
    """Run what was claimed, and give back what no slot is left for."""
    is_short: Callable[[], None]
    """Something waits and no slot is free."""
    settle_down: Callable[[], None]
    """What was asked for is here: serve who else waits."""


class Claiming:
    """Claims for one revision on one node."""

    def __init__(self, queue: invocations.Queue, reads: parking.Parking, node: str, ref: str, slots: Slots) -> None:
        self.state = State.QUIET
        self.asked_at = 0.0
        """When the last claim left or the last parked read ended, in seconds of the monotonic clock."""
        self._asked = 0
        self._kept = 0
        self._queue = queue
        self._reads = reads
        self._node = node
        self._ref = ref
        self._slots = slots
        self._loop = asyncio.get_running_loop()
        self._parked: parking.ParkedRead | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lapse: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def something_waits(self) -> bool:
        """Whether something is known to wait, or most likely does, and can be had."""
        return self.state is _BEHIND or self._is_soon_answered

    @property
    def kept(self) -> int:
        """Slots that are kept for the claim that is under way."""
        return self._kept if self._is_soon_answered else 0

    @property
    def _is_soon_answered(self) -> bool:
        return self.state is _ASKING and clock.steady_s() - self.asked_at < KEPT_FOR_S

    def heard(self) -> None:
        """Hear that something waits. A parked read would have brought it, unless its connection is stuck."""
        if self.state is State.PARKED:
            self.unpark()
        self._move(Event.HEARD)
        self.ask()

    def ask(self) -> None:
        """Claim for all free slots, when something is known to wait."""
        if self.state is not State.BEHIND:
            return
        free, wanted = self._slots.free(), self._slots.wanted()
        # Also when more is claimed ahead: whether more slots would help is for who tends the revision to see.
        if free <= 0:
            self._slots.is_short()
        if wanted <= 0:
            return
        self.begin(wanted, max(free, 0))
        # Not awaited, so that it leaves in one write with what else this turn sends.
        answer = self._queue.send_claim(self._node, self._ref, wanted)
        answer.add_done_callback(self._claimed)

    def begin(self, wanted: int, free: int) -> None:
        """A claim leaves for so many, alone or along with finishes; `found` or `nothing` is called with its answer.

        The slots that are ``free`` are kept for it, for a while.
        """
        self._move(Event.ASK)
        self._kept = free
        self._asked = wanted
        self.asked_at = clock.steady_s()
        if self._lapse is None:
            self._lapse = self._loop.call_later(KEPT_FOR_S, self._lapsed)

    def _lapsed(self) -> None:
        """Let others have the slots that were kept for a claim, if the claim under way is as old as that."""
        self._lapse = None
        if self._is_soon_answered:
            # A newer claim is under way than the one that this timer was set for.
            left_s = self.asked_at + KEPT_FOR_S - clock.steady_s()
            self._lapse = self._loop.call_later(left_s, self._lapsed)
        elif self.state is State.ASKING:
            self._slots.settle_down()

    def found(self, claims: Sequence[invocations.Claim], *, more_wait: bool) -> None:
        """Take the answer to a claim."""
        self._kept = 0
        self._move(Event.ALL if more_wait else Event.FEWER)
        if claims:
            self._slots.run(claims)
        self._slots.settle_down()

    def nothing(self) -> None:
        """Give a claim up that was not answered: whoever finds that something waits says so again."""
        self._kept = 0
        self._move(Event.FEWER)
        self._slots.settle_down()

    def tell(self, left: int) -> None:
        """Hear how many wait still, as a finish that claimed nothing has found."""
        if left and self.state is State.QUIET:
            self.heard()
        # Another node has taken what was known to wait: whoever stands in line here need not share the slots with it.
        elif not left and self.state is State.BEHIND:
            self._move(Event.FEWER)
            self._slots.settle_down()

    def _claimed(self, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            self.nothing()
            return
        claims = invocations.claims(answer.result())
        self.found(claims, more_wait=len(claims) >= self._asked)

    def _move(self, event: Event) -> None:
        self.state = after(self.state, event)

    # -- parking

    def stand_by(self, after_s: float = PARK_AFTER_S) -> None:
        """Slots are idle: have a read parked once they have been for a while."""
        if self._timer is None and self._task is None and self.state is State.QUIET:
            self._timer = self._loop.call_later(after_s, self._maybe_park, after_s)

    def _maybe_park(self, after_s: float) -> None:
        self._timer = None
        if self.state is not State.QUIET or not self._slots.free() or not self._slots.may_claim():
            return
        # It was used meanwhile. The timer is not set anew at each use, it is left to fire and looks.
        if self._slots.idle_for_s() < after_s:
            self._timer = self._loop.call_later(PARK_AFTER_S, self._maybe_park, after_s)
            return
        self._task = self._loop.create_task(self._park(), name=f"park {self._ref}")
        self._task.add_done_callback(self._unparked)

    async def _park(self) -> None:
        read = await self._reads.take()
        try:
            # A read that ended with nothing is parked again, with as many as are free by then.
            while self.state is State.QUIET and self._slots.free() and self._slots.may_claim():
                self._parked = read
                self._move(Event.PARK)
                try:
                    claims = await read.claim(self._queue, self._node, self._ref, self._slots.free())
                finally:
                    self._parked = None
                    self.asked_at = clock.steady_s()
                    self._move(Event.WOKEN)
                if claims:
                    self._slots.run(claims)
                    return
        # Redis may be about to answer on it, and nobody would hear: then the claim comes back by `holding.tidy`.
        except asyncio.CancelledError:
            read.close()
            raise
        finally:
            self._reads.give_back(read)

    def unpark(self) -> None:
        """End the parked read, since no slot is free any more: what comes is for another node."""
        read, self._parked = self._parked, None
        if read is not None:
            read.wake(self._queue)

    def _unparked(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            say_why(task)
            # When Redis is away it would fail again at once. The node wakes its lanes when the link is back.
            if task.exception() is None:
                self._slots.settle_down()

    @property
    def is_parked(self) -> bool:
        """Whether a read waits in Redis for what comes."""
        return self._parked is not None

    # -- giving back

    def give_back(self, claim: invocations.Claim) -> None:
        """Let what was claimed wait again, for another to run."""
        task = self._loop.create_task(self._release(claim), name=f"release {self._ref}")
        task.add_done_callback(say_why)

    async def _release(self, claim: invocations.Claim) -> None:
        await self._queue.release(claim)

    def rest(self) -> None:
        """Claim nothing more."""
        self._move(Event.REST)
        for timer in (self._timer, self._lapse):
            if timer is not None:
                timer.cancel()
        self.unpark()

    async def rested(self) -> None:
        """Wait until the parked read is over, and what it claimed at the last moment is given back."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def renew(self) -> None:
        """After Redis was away: make sure of the queues, and look for what waits. Raises `errors.Unavailable`."""
        await self._queue.prepare(self._ref)
        if self._slots.free():
            self.heard()


def say_why(task: asyncio.Task[None]) -> None:
    """Log why a task failed.

    What was claimed and could not be given back is taken over when this node's lease lapses, or at its end.
    """
    error = None if task.cancelled() else task.exception()
    if isinstance(error, errors.Unavailable):
        _log.debug("claim_interrupted", extra={"reason": str(error)})
    elif error is not None:
        _log.error("claim_failed", exc_info=error)
