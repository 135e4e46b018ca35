"""The figure of a rule, from what was found of the platform at one moment. Pure functions.

Counts of attempts are 0 where there were none, since that is known. Rates and quantiles of no attempts are nothing, and
so is what could not be asked: that is said, and not guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from faas.alerts import states
from faas.core import durations, model
from faas.core.alarms import figures, rules

_PPM = 1_000_000
_HOUR_MS = 3_600_000
ALL = ()
"""In place of functions: all of the platform together."""


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of a while were like; durations in microseconds."""

    count: int = 0
    errors: int = 0
    cold_starts: int = 0
    cost_pico: int = 0
    p50: int = 0
    p90: int = 0
    p99: int = 0
    p999: int = 0


_NONE = Attempts()


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What of one function waits, for how long, and how many of its invocations are in no place or in two."""

    waiting: int = 0
    oldest_ms: int = 0
    drift: int = 0


class Window(NamedTuple):
    """A while up to now, and the functions whose attempts of it are wanted together; all of them for `ALL`."""

    over_ms: int
    functions: tuple[str, ...]


class Disk(NamedTuple):
    """Bytes of a disk, as `df` counts: what is kept for the system is neither taken nor free."""

    taken: int
    free: int


class SeenPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found. What is None could not be asked, and ``why`` says so.

    ``spans_ms`` are how long each window was in truth, as roll-ups begin with whole minutes. Windows without attempts
    are left out. ``dead`` are dead letters by window and function.
    """

    at_ms: int
    attempts: Mapping[Window, Attempts] | None = None
    spans_ms: Mapping[int, int] = {}
    dead: Mapping[int, Mapping[str, int]] = {}
    places: Mapping[str, QueueFigures] | None = None
    disk: Disk | None = None
    facts: Mapping[str, tuple[str, str]] | None = None
    why: str = "it could not be asked"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be found for some rules. ``each_over_ms`` are windows that are wanted of every function."""

    windows: frozenset[Window] = frozenset()
    each_over_ms: frozenset[int] = frozenset()
    dead_over_ms: frozenset[int] = frozenset()
    places: bool = False
    disk: bool = False
    facts: bool = False


Watched = tuple[model.Alarm, rules.AlarmRule]
"""An alarm, and its rule as it was read."""


def wanted(watched: Collection[Watched]) -> Wanted:
    """What has to be found."""
    now = {rule.figure for _, rule in watched if not rule.figure.is_windowed}
    attempts = [each for each in watched if each[1].figure.is_windowed and each[1].figure.name != "dead_letters"]
    return Wanted(
        windows=frozenset(window for alarm, rule in attempts for window in _windows(alarm, rule)),
        each_over_ms=frozenset(rule.over_ms for alarm, rule in attempts if alarm.each and not alarm.functions),
        dead_over_ms=frozenset(rule.over_ms for _, rule in watched if rule.figure.name == "dead_letters"),
        places=any(figure.is_of_functions for figure in now),
        disk=any(figure.name == "disk" for figure in now),
        facts=any(figure.unit is figures.Unit.WORD for figure in now),
    )


def _windows(alarm: model.Alarm, rule: rules.AlarmRule) -> Iterable[Window]:
    if alarm.function is not None:
        return (Window(rule.over_ms, (alarm.function,)),)
    if alarm.each:
        return [Window(rule.over_ms, (name,)) for name in alarm.functions]
    return (Window(rule.over_ms, alarm.functions),)


def sample(alarm: model.Alarm, rule: rules.AlarmRule, function: str, seen: SeenPlatform) -> states.Sample:
    """What a rule's figure is, of one function, or of all that the alarm is on together."""
    value, text = _found(rule, (function,) if function else alarm.functions, seen)
    if value is not None:
        of = f" of {function}" if function else ""
        shown = rule.figure.unit.told(value)
        text = f"{rule.figure.name}{of} is {shown}{f' ({text})' if text else ''}"
    return states.Sample(at_ms=seen.at_ms, value=value, text=text)


_Found = tuple[float | str | None, str]
"""A value and what is said with it; without a value, why there is none."""


def _found(rule: rules.AlarmRule, names: tuple[str, ...], seen: SeenPlatform) -> _Found:
    figure = rule.figure
    if figure.unit is figures.Unit.WORD:
        return _fact(figure.name.removeprefix(figures.FACT), seen)
    if figure.name == "disk":
        return _disk(seen)
    if figure.name == "dead_letters":
        found = seen.dead.get(rule.over_ms, {})
        count = sum(number for function, number in found.items() if _is_of(function, names))
        return count, f"within {durations.written(rule.over_ms)}"
    return _of_attempts(rule, names, seen) if figure.is_windowed else _of_places(figure.name, names, seen)


def _is_of(function: str, names: Collection[str]) -> bool:
    return not names or function in names


def _fact(name: str, seen: SeenPlatform) -> _Found:
    if seen.facts is None:
        return None, f"no facts: {seen.why}"
    return seen.facts.get(name, (None, f"there is no fact `{name}` here"))


def _disk(seen: SeenPlatform) -> _Found:
    if seen.disk is None or not sum(seen.disk):
        return None, "the disk does not say how full it is"
    return seen.disk.taken * _PPM / sum(seen.disk), f"{seen.disk.free / 1024**3:.1f} GiB free"


def _of_places(name: str, names: Collection[str], seen: SeenPlatform) -> _Found:
    if seen.places is None:
        return None, f"no {name}: {seen.why}"
    found = [place for function, place in seen.places.items() if _is_of(function, names)]
    if name == "queue_age":
        return max((place.oldest_ms for place in found), default=0) * 1_000, ""
    return sum(getattr(place, name) for place in found), ""


def _of_attempts(rule: rules.AlarmRule, names: tuple[str, ...], seen: SeenPlatform) -> _Found:
    name, within = rule.figure.name, f"within {durations.written(rule.over_ms)}"
    if seen.attempts is None:
        return None, f"no {name}: {seen.why}"
    found = seen.attempts.get(Window(rule.over_ms, names), _NONE)
    if name in ("count", "errors"):
        return int(getattr(found, name)), within
    if name == "cost_per_hour":
        return found.cost_pico * _HOUR_MS / max(seen.spans_ms.get(rule.over_ms, rule.over_ms), 1), within
    if not found.count:
        return None, f"no attempt {within}"
    if name in ("error_rate", "cold_share"):
        part = found.errors if name == "error_rate" else found.cold_starts
        # Multiplied first, in whole numbers: 7 of 100 are 7%, and not a little more.
        return part * _PPM / found.count, f"{part} of {found.count} attempts {within}"
    return int(getattr(found, name)), f"of {found.count} attempts {within}"
