"""Due timers become invocations, exactly once for each due time, however many schedulers run.

What has fired is known to Redis alone: the guard hash ``timers`` holds, for each timer, its last due time; an enqueue
for that or an earlier one is refused in the same script that would accept it. The field is ``<function>/<hash of cron,
period and zone>`` (``#2`` and so on for equal ones), so a deploy that leaves a timer as it is leaves its history too.

While the last run of a timer has not ended, its ``overlap`` decides. The guard tells which run was the last, whoever
fired it; a due time that is skipped leaves no trace there, and is counted elsewhere (`faas.queue.skips`).

A timer first seen while the scheduler runs starts from now. One found at start goes on from its guard, or from its
revision's birth when it never fired: what passed since then was missed, and ``on_missed`` decides.

The wall clock is looked at no less than once a second, so a jump of it is noticed: forward, what was jumped over was
missed; backward, what has fired does not fire again.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from faas.core import clock, errors, events, groups, ids, model
from faas.core.calls import calling, unrun
from faas.core.money import budgets
from faas.core.values import numbers
from faas.queue import guards, inlet, invocations, skips, whereabouts
from triggers import catalog, schedule

_log = logging.getLogger(__name__)

GUARD = "timers"
WARM_AHEAD_MS = 2_000
_LOOK_S = 1.0
_RETRY_MS = 1_000
_FORGET_MS = 3_600_000
_AT_ONCE = 64
_ENDED = frozenset({whereabouts.Place.DONE, whereabouts.Place.DEAD})

Clock = Callable[[], int]
Warm = Callable[[str], Awaitable[None]]


class Timer(msgspec.Struct):
    """One timer of a current revision; ``last_ms`` is its last due time that is settled, fired here or elsewhere."""

    field: str
    revision: model.Revision
    place: int
    trigger: model.TimerTrigger
    last_ms: int
    due_ms: int | None = None


async def run(
    sandboxes: groups.Sandboxes,
    queue: invocations.Queue,
    functions: catalog.Functions,
    stop: asyncio.Event,
    *,
    warm: Warm | None = None,
    clock: Clock = clock.now_ms,
) -> None:
    """Fire timers until ``stop`` is set. ``warm`` (`faas.cluster.demand.Demand.warm`) is told some 2 s ahead."""
    door = inlet.Inlet(queue)
    scheduler = Scheduler(sandboxes, door, warm, clock)
    known = catalog.Snapshot()
    while not stop.is_set():
        known = await scheduler.follow(functions, known)
        await scheduler.tick()
        await catalog.pause(stop, scheduler.wait_s())


class Scheduler:
    """The timers of the catalog and a heap of the moments at which one of them wants a look."""

    def __init__(self, sandboxes: groups.Sandboxes, door: inlet.Inlet, warm: Warm | None, clock: Clock) -> None:
        self._sandboxes = sandboxes
        self._door = door
        self._warm = warm
        self._clock = clock
        self._timers: dict[str, Timer] = {}
        self._moments: list[tuple[int, int, Timer]] = []
        self._number = itertools.count()
        self._stops: Mapping[str, budgets.BudgetStop] = {}

    async def follow(self, functions: catalog.Functions, known: catalog.Snapshot) -> catalog.Snapshot:
        """Take over a changed catalog; the version that is now in force, the old one while Redis is away."""
        latest = await catalog.newer(functions, known)
        if latest is known:
            return known
        try:
            held = await self._door.call(lambda queue: guards.items(queue, GUARD))
        except errors.Unavailable as error:
            _log.warning("timers_wait_for_redis", extra={"reason": str(error)})
            return known
        now = self._clock()
        self._stops = latest.stops
        self._timers = timers_of(latest, self._timers, held, now, starting=known.version < 0)
        # The old heap is full of timers that are there no more.
        self._moments = []
        for timer in self._timers.values():
            self._push(now, timer)
        await self._forget(held, now)
        return latest

    async def _forget(self, held: dict[str, str], now: int) -> None:
        """Drop the history of timers that are gone, once it is an hour old: another scheduler may lag behind."""
        gone = [
            field
            for field, due in held.items()
            if field not in self._timers and now - (numbers.whole(due) or 0) > _FORGET_MS
        ]
        try:
            # One by one, as there are few: a timer goes with a deploy.
            for field in gone:
                await self._door.call(functools.partial(_drop, field=field))
        except errors.Unavailable:
            return  # tidiness only: the next change of the catalog tries again

    def wait_s(self) -> float:
        """How long until a timer wants a look, a second at most."""
        if not self._moments:
            return _LOOK_S
        return min(_LOOK_S, max(self._moments[0][0] - self._clock(), 0) / 1000)

    async def tick(self) -> None:
        """Look at every timer whose moment has come."""
        now = self._clock()
        ready = []
        while self._moments and self._moments[0][0] <= now:
            ready.append(heapq.heappop(self._moments)[2])
        # Many come due at the same full minute; so many are asked about at once, and the rest a moment later.
        for start in range(0, len(ready), _AT_ONCE):
            await asyncio.gather(*(self._look(timer, now) for timer in ready[start : start + _AT_ONCE]))

    async def _look(self, timer: Timer, now: int) -> None:
        if timer.due_ms is not None and timer.due_ms > now:
            await self._warm_up(timer)
            self._push(timer.due_ms, timer)
            return
        try:
            for due in schedule.to_fire(timer.trigger, timer.last_ms, now):
                await self._fire(timer, due)
                # Set after each, so that a failure in between goes on with the next and fires none twice.
                timer.last_ms = due
        except (errors.Throttled, errors.Unavailable) as error:
            _log.warning("timer_waits", extra={"function": timer.revision.function, "reason": str(error)})
            self._push(now + _RETRY_MS, timer)
            return
        except errors.BadRequest as error:
            # A deploy refuses such a timer; one that is here all the same must not stop the others.
            _log.error("timer_unreadable", extra={"function": timer.revision.function, "reason": str(error)})
            return
        self._plan(timer, now)

    async def _fire(self, timer: Timer, due: int) -> None:
        function = timer.revision.function
        stop = budgets.stop_of(self._stops, function)
        if stop is not None and self._clock() < stop.until_ms:
            await self._door.call(lambda queue: skips.count(queue, function, timer.field, due))
            extra = {"function": function, "due_ms": due, "reason": "its budget is reached"}
            _log.warning("timer_skipped", extra=extra)
            return
        if not await self._may_fire(timer, due):
            await self._door.call(lambda queue: skips.count(queue, function, timer.field, due))
            _log.info("timer_skipped", extra={"function": function, "due_ms": due})
            return
        invocation = invocation_of(timer, due, self._clock(), self._sandboxes.region)
        # Monotonic: a scheduler whose clock is behind must not fire again what another has fired.
        guard = guards.Guard(key=GUARD, field=timer.field, value=str(due), monotonic=True)
        accepted = await self._door.call(lambda queue: queue.enqueue(invocation, guard))
        extra = {"function": timer.revision.function, "invocation_id": invocation.id, "due_ms": due}
        _log.info("timer_fired" if accepted else "timer_fired_elsewhere", extra=extra)

    async def _may_fire(self, timer: Timer, due: int) -> bool:
        """Whether nothing stands against another run: the last one has ended, or may be joined or replaced."""
        if timer.trigger.on_overlap is model.Overlap.QUEUE:
            return True
        held = await self._door.call(lambda queue: guards.item(queue, GUARD, timer.field))
        last_ms = numbers.whole(held or "")
        if not last_ms or last_ms >= due:
            return True  # never, or just now by another scheduler, which the guard says
        last_id = _id_of(timer, last_ms)
        found = await self._door.call(lambda queue: whereabouts.find(queue, last_id))
        if found is None or found.place in _ENDED:
            return True
        if timer.trigger.on_overlap is model.Overlap.SKIP:
            return False
        await self._take_back(found)
        return True

    async def _take_back(self, found: whereabouts.Whereabouts) -> None:
        """Settle a run that has not begun. One that runs goes on, and the new one waits for it like any other."""
        last = found.invocation
        if last is None or found.place is whereabouts.Place.RUNNING:
            return
        record = unrun.replaced(last, self._clock())
        if await self._door.call(lambda queue: whereabouts.cancel(queue, last, found.packed, record)):
            _log.info("timer_replaced", extra={"function": last.function, "invocation_id": last.id})

    async def _warm_up(self, timer: Timer) -> None:
        if self._warm is None or budgets.stop_of(self._stops, timer.revision.function) is not None:
            return
        try:
            await self._warm(timer.revision.ref)
        except errors.Unavailable as error:
            # Only a hint: the timer fires all the same, perhaps cold.
            _log.warning("timer_not_warmed", extra={"function": timer.revision.function, "reason": str(error)})

    def _plan(self, timer: Timer, now: int) -> None:
        """Set the moment of the next look: some time before the due time when a sandbox may have to be made."""
        timer.due_ms = schedule.next_due(timer.trigger, max(now, timer.last_ms))
        if timer.due_ms is None:
            return
        idle_ms = timer.due_ms - max(now, timer.last_ms)
        # What comes due so often keeps its sandbox warm by itself.
        ahead = WARM_AHEAD_MS if idle_ms >= self._sandboxes.keep_min_ms else 0
        self._push(timer.due_ms - ahead, timer)

    def _push(self, at_ms: int, timer: Timer) -> None:
        heapq.heappush(self._moments, (at_ms, next(self._number), timer))


def timers_of(
    latest: catalog.Snapshot, before: Mapping[str, Timer], held: Mapping[str, str], now: int, *, starting: bool
) -> dict[str, Timer]:
    """The timers of a catalog by their guard's field, each with the last due time that is settled for it."""
    timers: dict[str, Timer] = {}
    for revision, place, trigger in latest.triggers(model.TimerTrigger):
        field = _field(revision.function, trigger, timers)
        last = before[field].last_ms if field in before else revision.created_at_ms if starting else now
        timers[field] = Timer(field, revision, place, trigger, max(last, numbers.whole(held.get(field, "")) or 0))
    return timers


async def _drop(queue: invocations.Queue, field: str) -> None:
    await guards.drop(queue, GUARD, field)
    await skips.forget(queue, field)


def _field(function: str, trigger: model.TimerTrigger, taken: Mapping[str, Timer]) -> str:
    what = f"{trigger.cron}\x1f{trigger.every_ms}\x1f{trigger.timezone}"
    plain = f"{function}/{hashlib.sha256(what.encode()).hexdigest()[:12]}"
    # A function may have the same timer twice; both are to fire.
    numbered = (f"{plain}#{number}" for number in itertools.count(2))
    return next(field for field in itertools.chain([plain], numbered) if field not in taken)


def _id_of(timer: Timer, due_ms: int) -> str:
    return ids.derived_id(due_ms, timer.revision.function, timer.field)


def _given(trigger: model.TimerTrigger) -> bytes | None:
    # `input: null` is an event, too, and no input at all is a scheduled one.
    has_input = trigger.is_input_null or trigger.input is not None
    return msgspec.json.encode(trigger.input) if has_input else None


def invocation_of(timer: Timer, due_ms: int, at_ms: int, region: str) -> model.Invocation:
    """The invocation of one due time; its id is the same whichever scheduler makes it."""
    revision, invocation_id = timer.revision, _id_of(timer, due_ms)
    return calling.invocation(
        revision,
        id=invocation_id,
        way="timer",
        mode=model.Mode.ASYNC,
        event=events.timer_event(
            invocation_id=invocation_id,
            due_ms=due_ms,
            function=revision.function,
            trigger=timer.place,
            region=region,
            given=_given(timer.trigger),
        ),
        at_ms=at_ms,
        place=timer.place,
    )
