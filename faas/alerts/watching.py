"""One scheduler's part in looking at the alarms: once in each interval, by whichever of them comes first.

::

    interval begins ──► begin (read) ──► gather ──► look (pure) ──► commit ──► post what is to be told ──► forget it
                                                                     │ another was first: nothing
    killed before the commit     nothing happened: the next look, here or elsewhere, begins where this one did
    killed after the commit      the messages are in SQL; whoever looks next posts them, under the same ids
    killed after a post          it is posted again and refused, as its id was posted before (for a day)

A look is numbered by its interval, which the wall clock gives. Where that was set back, so that the last look lies
ahead, looks go on once nobody has looked for two intervals by the clock that does not jump.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

import sqlalchemy as sa

from faas import delivery
from faas.alerts import evaluating, figures, gathering, messages, own_file
from faas.core import clock, errors, groups, model
from faas.health import looks
from faas.queue import inlet, invocations
from faas.store import alarms

_log = logging.getLogger(__name__)

_AT_ONCE = 100
_AWAY_S = 1.0
_JITTER = 0.05
"""Within which part of an interval schedulers look at it, so that not all gather for what one of them will write."""
_DAY_MS = 86_400_000
_HOUR_S = 3_600.0
_FORGOTTEN_AT_ONCE = 500

Clock = Callable[[], int]


async def run(
    data: groups.Data,
    chosen: groups.Watching,
    queue: invocations.Queue,
    engine: sa.Engine,
    platform: looks.Looks,
    stop: asyncio.Event,
    *,
    now_ms: Clock = clock.now_ms,
) -> None:
    """Look at the alarms until ``stop`` is set. ``platform`` establishes the facts that rules may be on."""
    door = inlet.Inlet(queue)
    gatherer = gathering.Gatherer(data, door, engine, platform)
    watcher = AlarmWatcher(data, chosen, engine, gatherer, door, now_ms)
    while not stop.is_set():
        wait_s = await watcher.turn()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)


class AlarmWatcher:
    """What one scheduler knows of the looks so far."""

    def __init__(
        self,
        data: groups.Data,
        chosen: groups.Watching,
        engine: sa.Engine,
        gatherer: gathering.Gatherer,
        door: inlet.Inlet,
        now_ms: Clock = clock.now_ms,
    ) -> None:
        self._interval_ms = chosen.alarm_interval_s * 1_000
        self._keep_days = chosen.keep_alarm_history_days
        self._store = alarms.Alarms(engine)
        self._file = own_file.OwnFile(data, engine)
        self._gatherer = gatherer
        self._door = door
        self._now_ms = now_ms
        self._jitter_ms = int(self._interval_ms * _JITTER * random.random())  # noqa: S311 - spreads looks, hides nothing
        self._last = (-1, clock.steady_s())
        self._forget_at_s = 0.0

    async def turn(self) -> float:
        """Do what there is to do now; how long to wait before the next time, in seconds."""
        try:
            await self._post()
            await asyncio.to_thread(self._file.follow)
            await self.look()
            await self._forget()
        except errors.Unavailable as error:
            _log.warning("alarms_wait", extra={"reason": error.message})
            return _AWAY_S
        except Exception:  # noqa: BLE001 - one alarm that makes us fail must not end the scheduler, which fires timers
            _log.exception("alarms_failed")
        now_ms = self._now_ms()
        return (self._interval_ms - (now_ms - self._jitter_ms) % self._interval_ms) / 1000

    async def look(self) -> bool:
        """Look at all alarms, unless this interval's look was made. Whether it was made here."""
        slot = self._now_ms() // self._interval_ms
        while self._is_due(*await asyncio.to_thread(self._store.last), slot):
            begun = await asyncio.to_thread(self._store.begin)
            if not begun.declared and not begun.standings:
                return False
            at_ms = self._now_ms()
            seen = await self._gatherer.gather(figures.wanted(evaluating.watched(begun.declared)), at_ms)
            # In a thread: an alarm on each of ten thousand functions takes a tenth of a second.
            outcome = await asyncio.to_thread(evaluating.look, begun, seen, self._interval_ms)
            if await asyncio.to_thread(self._store.commit, begun, slot, at_ms, outcome):
                _tell(outcome)
                await self._post()
                return True
            # Another look was made, or alarms were declared anew: then this interval still wants one.
        return False

    def _is_due(self, serial: int, last_slot: int, slot: int) -> bool:
        if serial != self._last[0]:
            self._last = (serial, clock.steady_s())
        if slot > last_slot:
            return True
        is_idle = clock.steady_s() - self._last[1] >= 2 * self._interval_ms / 1000
        return is_idle and slot < last_slot

    async def _post(self) -> None:
        """Post what is still to be told, by whichever look."""
        full: set[model.Notify] = set()
        while True:
            found = await asyncio.to_thread(self._store.messages, _AT_ONCE)
            for message in found:
                if message.to in full:
                    continue
                if await self._posted(message):
                    await asyncio.to_thread(self._store.told, message)
                else:
                    full.add(message.to)
            # What is left is for places that take no more now; the next turn tries again.
            if len(found) < _AT_ONCE or full:
                return

    async def _posted(self, message: alarms.AlarmMessage) -> bool:
        """Whether it is on its way now, or was before."""
        if isinstance(message.to, model.ToLog):
            _log.error("alarm_told", extra=messages.log_fields(message))
            return True
        sent, to = delivery.Message(id=message.id, of=messages.SENDER, body=message.body), message.to
        try:
            await self._door.call(lambda queue: delivery.post(queue, sent, to))
        # Not this turn: alarms are looked at all the same, or what is pending would begin anew.
        except (errors.Throttled, errors.Unavailable) as error:
            _log.warning("alarm_message_waits", extra={"message_id": message.id, "reason": error.message})
            return False
        return True

    async def _forget(self) -> None:
        """Remove some of the history that is past its time, now and then."""
        if not self._keep_days or clock.steady_s() < self._forget_at_s:
            return
        before_ms = self._now_ms() - self._keep_days * _DAY_MS
        gone = await asyncio.to_thread(self._store.forget_history, before_ms, _FORGOTTEN_AT_ONCE)
        # What is left goes with the next intervals: a statement that removes little holds up nobody.
        self._forget_at_s = 0.0 if gone == _FORGOTTEN_AT_ONCE else clock.steady_s() + _HOUR_S


def _tell(outcome: alarms.LookOutcome) -> None:
    for event in outcome.events:
        extra = {"alarm": event.alarm, "function": event.function or None, "was": event.was, "text": event.text}
        _log.info(f"alarm_{event.became.value}", extra=extra)
