"""From demand to slots: signals are read, what waits is looked at, and slots are made until nothing waits too long.

One task tends a revision while something waits for it. It looks again and again, so a queue that goes away by itself
costs no sandbox, and starts that are not under way yet are given up when their demand was met meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from faas.cluster import capacity, demand
from faas.core import clock, errors, model
from faas.queue import invocations
from runners import attempt, concurrency, keepalive, pool, refusing, seats, settle, stock
from runners import slot as slots
from runners.sandbox import base

_READ_BLOCK_MS = 1_000
_READ_COUNT = 16
_LOOK_AGAIN_S = (0.02, 0.05, 0.1)
_BACKOFF_S = 1.0
_READ_AGAIN_S = 0.5
_SHARED_AFTER_MS = 20.0
"""Who has stood in line for so long may run on another node that has slots for the revision."""

_SEEN_WITHIN_S = 1.0
"""A Redis that does not say within so long what waits stands still, which is as good as away."""

_ROOM_WITHIN_S = 30.0
"""How long a deploy that tries its code waits on a busy node; less than the deploy waits for it."""

_log = logging.getLogger(__name__)

UseSeat = Callable[[str], AbstractAsyncContextManager[seats.Seat | None]]


class Nursery(Protocol):
    """What runs the tasks; `asyncio.TaskGroup` is one."""

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str | None = None) -> asyncio.Task[None]: ...


class Tender:
    """Answers the demand that one node reads."""

    def __init__(
        self,
        queue: invocations.Queue,
        signals: demand.Demand,
        pool: pool.Pool,
        stock: stock.Stock,
        settler: settle.Settler,
        place: attempt.NodeRates,
        use_seat: UseSeat,
        tasks: Nursery,
        processors: int,
        refusals: refusing.Refusing,
    ) -> None:
        self._queue = queue
        self._signals = signals
        self._pool = pool
        self._stock = stock
        self._settler = settler
        self._place = place
        self._use_seat = use_seat
        self._tasks = tasks
        self._processors = processors
        self._refusals = refusals
        self._tended: dict[str, asyncio.Task[None]] = {}
        self._waits: dict[str, capacity.Need] = {}
        self._not_before: dict[str, float] = {}

    async def read(self) -> None:
        """Read signals until cancelled, whatever becomes of Redis."""
        while True:
            try:
                requests = await self._signals.read(self._place.node, _READ_COUNT, _READ_BLOCK_MS)
                for request in requests:
                    await self._take(request)
            except errors.Unavailable:
                await asyncio.sleep(_READ_AGAIN_S)

    async def _take(self, request: demand.DemandEntry) -> None:
        if request.why == "load":
            self._tasks.create_task(self._load(request), name=f"load {request.ref}")
            return
        if request.why == "warm":
            self._tasks.create_task(self.hold_ready(request.ref, 1), name=f"warm {request.ref}")
        else:
            self.tend(request.ref)
        await self._signals.done(request, more=False)

    # -- something waits

    def tend(self, ref: str) -> None:
        """Make slots for what waits for a revision. One task at a time does so."""
        # A task that is there looks again by itself, so a second signal has nothing to add.
        if ref not in self._tended:
            task = self._tasks.create_task(self._tend(ref), name=f"tend {ref}")
            self._tended[ref] = task
            task.add_done_callback(lambda _: self._tended.pop(ref, None))

    async def _tend(self, ref: str) -> None:
        try:
            async with self._use_seat(ref) as seat:
                if seat is None:
                    _log.error("unknown_revision_waits", extra={"revision": ref})
                    return
                try:
                    await self._tend_seat(seat)
                finally:
                    # However it ends: a revision that nobody tends must not keep others from the memory that it waited
                    # for.
                    self._pool.has_enough(seat)
        except (errors.Unavailable, TimeoutError) as error:
            _log.debug("tending_interrupted", extra={"revision": ref, "reason": str(error)})
        finally:
            self._waits.pop(ref, None)
            self._refusals.forget(ref)

    async def _tend_seat(self, seat: seats.Seat) -> None:
        settled = clock.steady_s()
        looks = 0
        lane = seat.lane
        while lane.may_claim():
            load = await self._look(seat)
            if load.waiting_sync + load.waiting_async + len(lane.line) == 0:
                return
            self._waits[seat.ref] = load
            # A lane claims only what it knows to wait, and a signal may be all that this node hears of it.
            if load.waiting_sync + load.waiting_async:
                lane.claims.heard()
            if seat.making:
                settled = clock.steady_s()  # how those on their way will do is not known yet
            if self._make_some(seat, load, (clock.steady_s() - settled) * 1000):
                looks = 0
            self._share_line(seat, load)
            await self._refusals.refuse(seat, load)
            await asyncio.sleep(_LOOK_AGAIN_S[min(looks, len(_LOOK_AGAIN_S) - 1)])
            looks += 1

    async def _look(self, seat: seats.Seat) -> capacity.Need:
        """What waits in Redis for the revision. While it is away only the line counts."""
        try:
            # The mark goes first: whatever is enqueued after the look below is signalled anew.
            self._queue.link.tell("DEL", self._queue.keys.demanded(seat.ref))
            async with asyncio.timeout(_SEEN_WITHIN_S):
                return await capacity.look(self._queue, self._place.node, seat.ref)
        except (errors.Unavailable, TimeoutError):
            # With nothing in line there is nothing to do without Redis.
            if not seat.lane.line:
                raise
            return capacity.Need(0, 0, seat.total)

    def _share_line(self, seat: seats.Seat, load: capacity.Need) -> None:
        """Send calls on to the queue that have no slot to wait for here, or for which others have slots."""
        lane = seat.lane
        if not seat.total:
            lane.line.disperse()
        elif lane.line.longest_ms() >= _SHARED_AFTER_MS and (elsewhere := load.slots - seat.total) > 0:
            lane.line.disperse(min(elsewhere, len(lane.line)))

    def _make_some(self, seat: seats.Seat, load: capacity.Need, lasted_ms: float) -> int:
        # Else each node would make the first slot for one and the same call.
        if load.is_anothers and not seat.total:
            return 0
        if self._is_put_off(seat.ref) or not self._pool.may_ever_fit(seat):
            self._pool.has_enough(seat)  # what comes free meanwhile is for others
            return 0
        # Ours are counted here, since what Redis says of them may be a moment old.
        made = self._missing(seat, load, max(load.slots, seat.total), seat.making, lasted_ms)
        for number in range(made):
            room = self._pool.take_room(seat)
            if room is None:
                self._pool.ask_for_room(seat)
                return number
            self._tasks.create_task(self._make(seat, room), name=f"make {seat.ref}")
        self._pool.has_enough(seat)
        return made

    def _missing(self, seat: seats.Seat, load: capacity.Need, slots_known: int, making: int, lasted_ms: float) -> int:
        lane, start_ms = seat.lane, self._stock.start_ms
        attempt_ms, in_line = lane.attempt_ms(), len(lane.line)
        now_s = clock.steady_s()
        most = concurrency.most_slots(
            lane.gains.levels(now_s),
            now_s,
            processors=self._processors,
            # One attempt that takes long for once holds up nobody while the other slots go on.
            attempt_ms=lane.turn_ms(),
            start_ms=start_ms,
            most=seat.revision.config.max_concurrency,
        )
        return keepalive.slots_to_make(
            waiting=load.waiting_sync + load.waiting_async + in_line,
            waiting_sync=load.waiting_sync + in_line,
            slots=slots_known,
            making=making,
            attempt_ms=attempt_ms,
            start_ms=start_ms,
            lasted_ms=lasted_ms,
            most=most,
        )

    async def _make(self, seat: seats.Seat, room: pool.Room) -> None:
        try:
            loaded = await self._pool.make(seat, room, lambda: self._is_wanted(seat))
            if loaded is not None and loaded.error is not None:
                await self._fail_one(seat, loaded)
        except errors.FaasError as error:
            # The seat is tended on: what waits gets another try as long as somebody waits.
            self._put_off(seat.ref, error.message)

    def _put_off(self, ref: str, reason: str) -> None:
        if not self._is_put_off(ref):  # those begun at the same time fail for the same reason
            _log.warning("slot_not_made", extra={"revision": ref, "reason": reason})
        self._not_before[ref] = clock.steady_s() + _BACKOFF_S

    def _is_put_off(self, ref: str) -> bool:
        if self._not_before.get(ref, 0.0) > clock.steady_s():
            return True
        self._not_before.pop(ref, None)
        return False

    def _is_wanted(self, seat: seats.Seat) -> bool:
        """Whether a slot would still be made, by what is known of the attempts now: at first it was nothing."""
        if seat.lane.is_draining:
            return False
        load = self._waits.get(seat.ref)
        # Nothing waits any more: one slot is enough.
        if load is None:
            return not seat.slots
        # Without those that are being made, this one among them: is one missing still?
        return self._missing(seat, load, len(seat.slots), 0, self._stock.start_ms) > 0

    async def _fail_one(self, seat: seats.Seat, loaded: base.Loaded) -> None:
        """Settle one invocation after a failed import: the next may find it mended (a file, a clock, luck)."""
        if not self._settler.may_begin(seat.lane.revision.function):
            return
        # There is no slot to run it: without this it would wait for as long as the import fails.
        for claim in await self._queue.claim(self._place.node, seat.ref, 1):
            now = clock.now_ms()
            ran = attempt.not_loaded(loaded)
            waited = attempt.Waited(now, max(now - claim.invocation.accepted_at_ms, 0))
            record = attempt.record(
                claim.invocation, seat.revision, waited, ran, self._place, sandbox="", ended_at_ms=now
            )
            ended = slots.Ended(claim.invocation, record, attempt.outcome(record, ran))
            self._settler.settle(seat.revision, [(claim, ended)], 0, lambda _: None)

    # -- a deploy tries its code, a timer is due soon, a function wants slots held ready

    async def _load(self, request: demand.DemandEntry) -> None:
        try:
            report = await self._tried(request.ref)
            # Answered before it is done: a node that dies in between leaves the request to another, and the deploy an
            # answer.
            await self._signals.answer(request, report)
            await self._signals.done(request, more=False)
        except errors.Unavailable as error:
            _log.warning("load_unanswered", extra={"revision": request.ref, "reason": error.message})

    async def _tried(self, ref: str) -> demand.LoadReport:
        async with self._use_seat(ref) as seat:
            if seat is None:
                return _refused("Platform.UnknownRevision", f"there is no revision {ref}")
            try:
                loaded = await self._made_in_turn(seat)
            except errors.FaasError as error:
                return _refused("Platform.Unavailable", error.message)
            if loaded is None and not self._stock.has(kind := self._stock.kind(seat.revision.config)):
                return _refused("Platform.NoRuntime", f"this node has no sandboxes of {kind.runtime}")
            if loaded is None:
                return _refused("Platform.NoRoom", f"no memory is left for {seat.revision.config.memory_mb} MB")
        return demand.LoadReport(
            ok=loaded.error is None,
            init_us=loaded.init_us,
            status=loaded.status,
            error=loaded.error,
            logs=loaded.logs,
        )

    async def _made_in_turn(self, seat: seats.Seat) -> base.Loaded | None:
        """A slot as soon as there is room, for which others give up one of theirs, as they do for work that waits."""
        until = clock.steady_s() + _ROOM_WITHIN_S
        try:
            while self._pool.may_ever_fit(seat) and clock.steady_s() < until:
                room = self._pool.take_room(seat)
                if room is None:
                    self._pool.ask_for_room(seat)
                elif loaded := await self._pool.make(seat, room):
                    return loaded
                await asyncio.sleep(_LOOK_AGAIN_S[-1])
            return None
        finally:
            self._pool.has_enough(seat)

    async def hold_ready(self, ref: str, count: int) -> None:
        """Have at least so many slots of a revision that are idle or being made."""
        if self._is_put_off(ref):
            return
        async with self._use_seat(ref) as seat:
            if seat is not None:
                await self._hold_ready(seat, count)

    async def _hold_ready(self, seat: seats.Seat, count: int) -> None:
        missing = min(count - len(seat.idle) - seat.making, seat.revision.config.max_concurrency - seat.total)
        # All rooms before the first start, so that they are made side by side.
        rooms = [room for _ in range(missing) if (room := self._pool.take_room(seat)) is not None]
        try:
            for loaded in await asyncio.gather(*(self._pool.make(seat, room) for room in rooms)):
                if loaded is not None and loaded.error is not None:
                    self._put_off(seat.ref, loaded.error.message)
        except errors.FaasError as error:
            self._put_off(seat.ref, error.message)


def _refused(kind: str, message: str) -> demand.LoadReport:
    return demand.LoadReport(ok=False, init_us=0, status=model.Status.LOST, error=model.Failure(kind, message))
