"""Which alarms a deploy declares, and which it removes. Pure functions.

The platform knows functions and not projects. The alarms of a function's block are those of whoever deployed it last. A
manifest's own alarm belongs to the functions that were deployed with it: a deploy of all of these that still serve says
whether it is still wanted, and a deploy of some of them, from another manifest, does not touch it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from faas.core import errors, model
from faas.store import alarm_changes, alarms

_NAMED = 5


def changes(
    project: model.Project,
    before: Sequence[alarms.Declared],
    serving: Collection[str],
    revisions: Mapping[str, int],
    at_ms: int,
) -> alarm_changes.AlarmChanges:
    """What changes. ``serving`` are the functions that serve now, ``revisions`` the numbers that serve then.

    Raises `errors.Conflict` when a name is another manifest's, or the platform's own.
    """
    functions = {function.name for function in project.functions}
    held = {each.alarm.name: each for each in before}
    ours = {name for name, each in held.items() if _is_ours(each, functions, serving)}
    for alarm in project.alarms:
        if alarm.name in held and alarm.name not in ours:
            raise _taken(held[alarm.name])
    wanted = {alarm.name for alarm in project.alarms}
    return alarm_changes.AlarmChanges(
        declared=tuple(
            alarms.Declared(
                alarm=alarm, kind=_kind(alarm), declared_at_ms=at_ms, revision=revisions.get(alarm.function or "")
            )
            for alarm in project.alarms
            # What is the same keeps its history of when it was declared.
            if alarm.name not in held or held[alarm.name].alarm != alarm
        ),
        removed=tuple(sorted(ours - wanted)),
    )


def _kind(alarm: model.Alarm) -> alarms.AlarmKind:
    return alarms.AlarmKind.PROJECT if alarm.functions else alarms.AlarmKind.FUNCTION


def _is_ours(declared: alarms.Declared, functions: Collection[str], serving: Collection[str]) -> bool:
    alarm = declared.alarm
    if declared.kind is alarms.AlarmKind.FUNCTION:
        return alarm.function in functions
    if declared.kind is alarms.AlarmKind.PLATFORM:
        return False
    return all(name in functions for name in alarm.functions if name in serving)


def _taken(by: alarms.Declared) -> errors.Conflict:
    name = by.alarm.name
    if by.kind is alarms.AlarmKind.PLATFORM:
        return errors.Conflict(f"the alarm {name} is the platform's own, in its alarms.yaml", alarm=name)
    of = ", ".join(by.alarm.functions[:_NAMED])
    return errors.Conflict(
        f"there is an alarm {name} of another manifest, with the functions {of}", hint="choose another name", alarm=name
    )


def note(made: alarm_changes.AlarmChanges) -> str:
    """What a deploy says of it; "" when nothing changes."""
    parts = []
    if made.declared:
        parts.append(f"alarms: {_some(each.alarm.name for each in made.declared)}")
    if made.removed:
        parts.append(f"alarms removed: {_some(made.removed)}")
    return "; ".join(parts)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
