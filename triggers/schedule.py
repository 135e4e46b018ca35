"""When a timer is due; pure functions of its trigger and the clock, in Unix milliseconds.

- ``every`` is due at the multiples of its period since 1970-01-01T00:00:00Z, so that all schedulers agree.
- ``cron`` is due at wall-clock times of its zone. A line that names minute and hour runs once a day through every
  change of the clocks: times in the gap of spring run together, once, at the gap's end, a time that comes twice in
  autumn runs the first time only. A line with ``*`` or ``*/n`` for minute or hour follows real time: nothing in the
  gap, both hours of the fold.

Every function here raises `errors.BadRequest` for a cron line or a zone that cannot be read.

A due time is **missed** when it is noticed later than `LATE_MS`; up to then it fires whatever ``on_missed`` says.
"""

from __future__ import annotations

import bisect
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
    minute_and_hour = line.split()[-5:-3]
    if start.tzinfo is None or start.tzinfo is datetime.UTC or any(f.startswith("*") for f in minute_and_hour):
        return (int(moment.timestamp()) * 1000 for moment in simulation)
    return _of_fixed_times(simulation, start.tzinfo)


def _of_fixed_times(simulation: cronsim.CronSim, zone: datetime.tzinfo) -> Iterator[int]:
    """The due times of a line that names minute and hour, which is read by the clock on the wall.

    cronsim's own way through a gap goes minute by minute for each time in it, and from behind it turns round for ever
    where the seconds are not 0.
    """
    simulation.fixup_tz = None
    simulation.dt = simulation.dt.replace(tzinfo=None)
    last_s = None
    for moment in simulation:
        due_s = int(moment.replace(tzinfo=zone).timestamp())
        if gap := _gap_around(moment, zone):
            due_s = int(gap[1].replace(tzinfo=zone).timestamp())
            # All other times in the gap are this one, too: a search that went through them has no end in sight.
            simulation.dt = gap[0 if simulation.tick_direction < 0 else 1]
        if due_s != last_s:
            yield due_s * 1000
        last_s = due_s


def _gap_around(moment: datetime.datetime, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime] | None:
    """From when to when clocks are put forward, past a time that they never show; None for a time that they show."""
    gap = _skipped(moment, zone)
    if not gap:
        return None
    later = [moment + datetime.timedelta(minutes=minutes) for minutes in range(int(gap.total_seconds()) // 60 + 2)]
    past = later[bisect.bisect_left(later, True, key=lambda each: not _skipped(each, zone))]
    # Clocks are changed at whole minutes.
    end = past.replace(second=0)
    return end - gap, end


def _skipped(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.timedelta:
    """How much time the clocks leave out around a time that they never show; none for others."""
    before, after = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return (
        max(after - before, datetime.timedelta()) if before is not None and after is not None else datetime.timedelta()
    )
