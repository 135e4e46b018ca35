"""The life of an alarm: how it stands after one more sample. Pure functions.

::

    ok ──met──► pending ──met for long enough──► firing ──over for long enough──► resolved ──a while──► ok
     ▲             │ not met                        │ met again: it fires on         │ met
     └─────────────┘                                └────────────────────────────────└──► pending

    no_data: nothing can be said. It comes from each of these but firing, and goes where the next sample says.

Nothing is guessed of the time that nobody looked: after a gap (a scheduler was away, or the clock jumped) what has to
hold for a while begins anew. What fires goes on firing while nothing can be said, as nothing has shown that it is over.
"""

from __future__ import annotations

import enum
import math

import msgspec

from faas.core import model
from faas.core.alarms import rules
from faas.store import alarms

RESOLVED_MS = 600_000
"""For how long an alarm is shown as resolved before it is ok."""

_State = model.AlarmState


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at a moment. ``value`` is None where nothing can be said; ``text`` says the rest to people."""

    at_ms: int
    value: float | str | None
    text: str = ""


class Judgement(enum.Enum):
    """What one sample says of a rule."""

    MET = enum.auto()
    OVER = enum.auto()
    NOTHING = enum.auto()


def judged(rule: rules.AlarmRule, before: alarms.Standing, sample: Sample) -> Judgement:
    """Whether the rule is met, by its second value for an alarm that fires."""
    found = sample.value
    if found is None or (isinstance(found, float) and not math.isfinite(found)):
        return Judgement.NOTHING
    # What could not be established is no answer, unless the rule asks for just that.
    if found == "unknown" and rule.value != "unknown":
        return Judgement.NOTHING
    is_met = rule.is_met(found, fires=before.state is _State.FIRING)
    return Judgement.MET if is_met else Judgement.OVER


def after(rule: rules.AlarmRule, before: alarms.Standing, sample: Sample, gap_ms: int) -> alarms.Standing:
    """How the alarm stands after a sample. ``gap_ms`` is the longest time between two that is no gap."""
    verdict = judged(rule, before, sample)
    is_gap = not 0 <= sample.at_ms - before.at_ms <= gap_ms
    step = _firing if before.state is _State.FIRING else _quiet
    state, since_ms, clear_since_ms = step(rule, before, sample.at_ms, verdict, is_gap)
    value = float(sample.value) if isinstance(sample.value, int | float) and verdict is not Judgement.NOTHING else None
    return msgspec.structs.replace(
        before,
        state=state,
        # After the clock was set back nothing may lie ahead of it.
        since_ms=min(since_ms, sample.at_ms),
        clear_since_ms=clear_since_ms,
        at_ms=sample.at_ms,
        value=value,
        text=sample.text,
    )


_Next = tuple[_State, int, int]
"""A state, since when, and since when what fires has been over."""


def _firing(rule: rules.AlarmRule, before: alarms.Standing, at_ms: int, verdict: Judgement, is_gap: bool) -> _Next:
    if verdict is not Judgement.OVER:
        return _State.FIRING, before.since_ms, 0
    since_ms = at_ms if is_gap or not before.clear_since_ms else before.clear_since_ms
    if at_ms - since_ms >= rule.hold_ms:
        return _State.RESOLVED, at_ms, 0
    return _State.FIRING, before.since_ms, since_ms


def _quiet(rule: rules.AlarmRule, before: alarms.Standing, at_ms: int, verdict: Judgement, is_gap: bool) -> _Next:
    if verdict is Judgement.MET:
        goes_on = before.state is _State.PENDING and not is_gap
        since_ms = before.since_ms if goes_on else at_ms
        is_long = at_ms - since_ms >= rule.for_ms
        return (_State.FIRING, at_ms, 0) if is_long else (_State.PENDING, since_ms, 0)
    if verdict is Judgement.NOTHING:
        return _State.NO_DATA, before.since_ms if before.state is _State.NO_DATA else at_ms, 0
    if before.state is _State.RESOLVED and at_ms - before.since_ms < RESOLVED_MS:
        return _State.RESOLVED, before.since_ms, 0
    return _State.OK, before.since_ms if before.state is _State.OK and before.since_ms else at_ms, 0


class Notice(enum.StrEnum):
    """What is told of an alarm."""

    FIRING = "firing"
    REMINDER = "reminder"
    RESOLVED = "resolved"


def notice(before: alarms.Standing, now: alarms.Standing, remind_ms: int, *, is_silent: bool) -> Notice | None:
    """What is to be told now. What began while the alarm was silent is told when it no longer is."""
    if is_silent:
        return None
    if now.state is _State.FIRING:
        if not now.told_at_ms:
            return Notice.FIRING
        return Notice.REMINDER if remind_ms and now.at_ms - now.told_at_ms >= remind_ms else None
    # Who never heard that it fires need not hear that it is over.
    has_ended = before.state is _State.FIRING and now.state is _State.RESOLVED
    return Notice.RESOLVED if has_ended and before.told_at_ms else None


def told(now: alarms.Standing, what: Notice | None) -> alarms.Standing:
    """The standing once that is told."""
    if now.state is not _State.FIRING:
        return msgspec.structs.replace(now, told_at_ms=0)
    # A clock that was set back would put off the next reminder by as much.
    at_ms = now.at_ms if what is not None else min(now.told_at_ms, now.at_ms)
    return msgspec.structs.replace(now, told_at_ms=at_ms)


def is_worth_noting(before: alarms.Standing, now: alarms.Standing) -> bool:
    """Whether a change of state goes into the history: what comes and goes with the calls of a quiet function does not.

    Where nothing has happened yet there is nothing to note either.
    """
    quiet = (_State.OK, _State.NO_DATA)
    return now.state is not before.state and not (before.state in quiet and now.state in quiet)
