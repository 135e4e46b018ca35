"""When a timer is due; pure functions of its trigger and the clock, in Unix milliseconds.

- ``every`` is due at the multiples of its period since 1970-01-01T00:00:00Z, so that all schedulers agree.
- ``cron`` is due at wall-clock times of its zone. A line that names minute and hour runs once a day through every
  change of the clocks: a time in the gap of spring runs at the gap's end, a time that comes twice in autumn runs the
  first time only. A line with ``*`` or ``*/n`` for minute or hour follows real time: nothing in the gap, both hours of
  the fold.

Every function here raises `errors.BadRequest` for a cron line or a zone that cannot be read.

A due time is **missed** when it is noticed later than `LATE_MS`; up to then it fires whatever ``on_missed`` says.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator

import cronsim

from faas.core import errors, model

LATE_MS = 5_000
"""How late a due time may be noticed (a restart, a pause of Redis) without counting as missed."""

MOST_MISSED = 1_000
"""How many missed due times ``on_missed: all`` makes up for; the latest ones count."""

_FOLD_MS = 3 * 3_600_000


def next_due(trigger: model.TimerTrigger, after_ms: int) -> int | None:
    """The first due time past ``after_ms``; None when there is none within 50 years."""
    if trigger.every_ms is not None:
        return (after_ms // trigger.every_ms + 1) * trigger.every_ms
    start = _local(trigger, after_ms)
    return next((due for due in _dues(trigger, start, reverse=False) if due > after_ms), None)


def latest_dues(trigger: model.TimerTrigger, until_ms: int) -> Iterator[int]:
    """Due times up to and with ``until_ms``, the latest first."""
    if trigger.every_ms is not None:
        latest = until_ms // trigger.every_ms * trigger.every_ms
        return iter(range(latest, -1, -trigger.every_ms))
    # The parser looks for what is before a moment, to the second: what is due now is to be among it.
    start = _local(trigger, until_ms + 1_000)
    if start.fold:
        # What came in the first pass of this hour may stand later on the clock than now: begin past the fold.
        start = _local(trigger, until_ms + _FOLD_MS)
    return (due for due in _dues(trigger, start, reverse=True) if due <= until_ms)


def to_fire(trigger: model.TimerTrigger, last_ms: int, now_ms: int) -> list[int]:
    """The due times past ``last_ms`` (the last one that fired) to fire now, in order, as ``on_missed`` wants it."""
    most = {model.OnMissed.SKIP: 0, model.OnMissed.ONCE: 1, model.OnMissed.ALL: MOST_MISSED}[trigger.on_missed]
    chosen: list[int] = []
    missed = 0
    for due in latest_dues(trigger, now_ms):
        if now_ms - due > LATE_MS:
            missed += 1
        if due <= last_ms or missed > most:
            break
        chosen.append(due)
    return chosen[::-1]


def _local(trigger: model.TimerTrigger, at_ms: int) -> datetime.datetime:
    # cronsim has a short way for this UTC object, and none for the zone of that name.
    try:
        zone = datetime.UTC if trigger.timezone == "UTC" else zoneinfo.ZoneInfo(trigger.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:  # the last: a folder, or too long a name
        raise errors.BadRequest(f"no time zone {trigger.timezone!r}") from error
    return datetime.datetime.fromtimestamp(at_ms // 1000, zone)


def _dues(trigger: model.TimerTrigger, start: datetime.datetime, *, reverse: bool) -> Iterator[int]:
    line = trigger.cron or ""
    try:
        simulation = cronsim.CronSim(line, start, reverse=reverse)
    except cronsim.CronSimError as error:
        raise errors.BadRequest(f"cron line {line!r}: {error}") from error
    fields = line.split()
    if len(fields) == 6 and start.tzinfo is not datetime.UTC and not any(f.startswith("*") for f in fields[1:3]):
        # cronsim keeps its care for fixed times of day to lines of five fields; ours is for both.
        simulation.fixup_tz = start.tzinfo
        simulation.dt = simulation.dt.replace(tzinfo=None)
    for moment in simulation:
        yield int(moment.timestamp()) * 1000
