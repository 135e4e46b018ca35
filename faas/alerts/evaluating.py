"""One look at all alarms: how each stands now, what came to pass, and what is to be told. Pure functions."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

from faas.alerts import figures, messages, states
from faas.core import errors, model
from faas.core.alarms import rules
from faas.store import alarms

_GAP_INTERVALS = 4

# Rules are read anew at each look; most are the same ones.
_parsed = functools.lru_cache(4_096)(rules.parse)


def watched(declared: Iterable[alarms.Declared]) -> list[figures.Watched]:
    """The alarms whose rules can be read. One that a newer platform declared may not be."""
    found = []
    for each in declared:
        try:
            found.append((each.alarm, _parsed(each.alarm.rule)))
        except errors.BadRequest:
            continue
    return found


def gap_ms(interval_ms: int) -> int:
    """The longest time between two looks after which what has to hold for a while goes on."""
    return _GAP_INTERVALS * interval_ms


def look(begun: alarms.BegunLook, seen: figures.SeenPlatform, interval_ms: int) -> alarms.LookOutcome:
    """What a look ends with."""
    steps = [
        _step(alarm, rule, function, begun, seen, gap_ms(interval_ms))
        for alarm, rule in watched(begun.declared)
        for function in _subjects(alarm, begun)
    ]
    kept = [step.now for step in steps if step.is_kept]
    looked_at = {standing.key for standing in kept}
    return alarms.LookOutcome(
        standings=tuple(kept),
        gone=tuple(key for key in begun.standings if key not in looked_at),
        events=tuple(step.event for step in steps if step.event is not None),
        messages=tuple(message for step in steps for message in step.messages),
    )


class _Step:
    """How one alarm goes on for one function, or for all that it is on."""

    def __init__(
        self,
        now: alarms.Standing,
        event: alarms.AlarmEvent | None,
        told: Sequence[alarms.AlarmMessage],
        *,
        is_kept: bool,
    ) -> None:
        self.now = now
        self.event = event
        self.messages = told
        self.is_kept = is_kept


def _step(
    alarm: model.Alarm,
    rule: rules.AlarmRule,
    function: str,
    begun: alarms.BegunLook,
    seen: figures.SeenPlatform,
    gap_ms: int,
) -> _Step:
    key = (alarm.name, function)
    before = begun.standings.get(key) or alarms.Standing(alarm=alarm.name, function=function)
    now = states.after(rule, before, figures.sample(alarm, rule, function, seen), gap_ms)
    what = states.notice(before, now, alarm.remind_ms, is_silent=_is_silent(begun.silences, key, seen.at_ms))
    told = messages.of(alarm, before, now, what) if what is not None else ()
    # Of thousands of functions few are worth a row.
    is_kept = not alarm.each or now.state not in (model.AlarmState.OK, model.AlarmState.NO_DATA)
    return _Step(states.told(now, what), _event(before, now), told, is_kept=is_kept)


def _subjects(alarm: model.Alarm, begun: alarms.BegunLook) -> Iterable[str]:
    """What an alarm stands in some way for: one function, each that serves, or all together."""
    if alarm.each:
        return sorted(begun.functions.intersection(alarm.functions) if alarm.functions else begun.functions)
    return (alarm.function or "",)


def _is_silent(silences: Mapping[alarms.Key, int], key: alarms.Key, at_ms: int) -> bool:
    return any(silences.get(each, 0) > at_ms for each in (key, (key[0], "")))


def _event(before: alarms.Standing, now: alarms.Standing) -> alarms.AlarmEvent | None:
    if not states.is_worth_noting(before, now):
        return None
    return alarms.AlarmEvent(
        alarm=now.alarm,
        function=now.function,
        at_ms=now.at_ms,
        was=before.state,
        became=now.state,
        value=now.value,
        text=now.text,
    )
