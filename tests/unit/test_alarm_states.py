"""The life of an alarm over samples: what holds for a while, flapping, gaps, clocks that jump, nothing to go by."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, strategies

from faas.alerts import states
from faas.core import model
from faas.core.alarms import rules
from faas.store import alarms

STEP_MS = 15_000
GAP_MS = 60_000
START_MS = 1_000_000
RULE = "error_rate > 5% for 30s until 3% hold 30s"
BAD, BETWEEN, GOOD = 80_000.0, 40_000.0, 10_000.0

OK, PENDING, FIRING = model.AlarmState.OK, model.AlarmState.PENDING, model.AlarmState.FIRING
RESOLVED, NO_DATA = model.AlarmState.RESOLVED, model.AlarmState.NO_DATA
NEW = alarms.Standing(alarm="a")


def run(values: Iterable[float | str | None], rule: str = RULE, before: alarms.Standing = NEW) -> list[alarms.Standing]:
    """The standings after samples that are one step apart."""
    found, at_ms = [before], before.at_ms or START_MS
    for value in values:
        at_ms += STEP_MS
        found.append(after(found[-1], value, at_ms, rule))
    return found[1:]


def after(before: alarms.Standing, value: float | str | None, at_ms: int, rule: str = RULE) -> alarms.Standing:
    sample = states.Sample(at_ms=at_ms, value=value, text=str(value))
    return states.after(rules.parse(rule), before, sample, GAP_MS)


def names(standings: Iterable[alarms.Standing]) -> list[model.AlarmState]:
    return [standing.state for standing in standings]


def test_it_fires_when_the_rule_has_been_met_for_long_enough_and_not_before() -> None:
    assert names(run([GOOD, BAD, BAD, BAD, BAD])) == [OK, PENDING, PENDING, FIRING, FIRING]
    assert run([BAD, BAD, BAD])[-1].since_ms == START_MS + 3 * STEP_MS
    assert names(run([BAD], "count > 1")) == [FIRING]


def test_what_is_over_before_its_time_begins_anew() -> None:
    assert names(run([BAD, BAD, GOOD, BAD, BAD, BAD])) == [PENDING, PENDING, OK, PENDING, PENDING, FIRING]


def test_between_its_two_values_it_stays_what_it_is() -> None:
    assert names(run([BETWEEN, BAD, BAD, BAD, BETWEEN, BETWEEN, BETWEEN, BETWEEN]))[3:] == [FIRING] * 5
    assert names(run([BETWEEN] * 5)) == [OK] * 5


def test_it_ends_when_it_has_been_over_for_long_enough_and_swinging_does_not_end_it() -> None:
    fires = run([BAD] * 3)[-1]
    assert names(run([GOOD, GOOD, GOOD], before=fires)) == [FIRING, FIRING, RESOLVED]
    assert names(run([GOOD, BAD] * 10, before=fires)) == [FIRING] * 20
    assert names(run([GOOD], "count > 100000 hold 0s", before=fires)) == [RESOLVED]


def test_it_is_shown_as_resolved_for_a_while_and_may_come_again() -> None:
    resolved = run([BAD] * 3 + [GOOD] * 3)[-1]
    assert names(run([GOOD] * 41, before=resolved))[-3:] == [RESOLVED, OK, OK]
    assert names(run([BAD, BAD, BAD], before=resolved)) == [PENDING, PENDING, FIRING]


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_where_nothing_can_be_said_that_is_said_and_what_fires_goes_on(nothing: float | None) -> None:
    assert names(run([GOOD, nothing, GOOD])) == [OK, NO_DATA, OK]
    assert names(run([BAD, BAD, nothing, BAD, BAD, BAD])) == [PENDING, PENDING, NO_DATA, PENDING, PENDING, FIRING]
    assert names(run([BAD, BAD, BAD, nothing, GOOD, nothing, GOOD, GOOD, GOOD]))[3:] == [FIRING] * 5 + [RESOLVED]
    last = run([BAD, BAD, BAD, nothing])[-1]
    assert (last.value, last.text) == (None, str(nothing))


def test_a_fact_that_could_not_be_established_is_no_answer_unless_it_is_asked_for() -> None:
    assert names(run(["ok", "unknown", "failed"], "doctor.disk is not ok")) == [OK, NO_DATA, FIRING]
    assert names(run(["ok", "unknown"], "doctor.disk is unknown")) == [OK, FIRING]


def test_a_restart_in_the_middle_loses_nothing() -> None:
    values = [GOOD, BAD, BAD, BAD, GOOD, GOOD, GOOD, BAD, BAD, BAD]
    whole = run(values)
    for cut in range(1, len(values)):
        kept = msgspec.json.decode(msgspec.json.encode(run(values[:cut])[-1]), type=alarms.Standing)
        assert run(values[cut:], before=kept) == whole[cut:]


def test_nothing_is_guessed_of_the_time_that_nobody_looked() -> None:
    pending = run([BAD, BAD])[-1]
    away = after(pending, BAD, pending.at_ms + GAP_MS + 1)
    assert (away.state, away.since_ms) == (PENDING, away.at_ms)
    late = after(pending, BAD, pending.at_ms + GAP_MS)
    assert late.state is FIRING
    over = run([BAD, BAD, BAD, GOOD])[-1]
    assert after(over, GOOD, over.at_ms + 10 * GAP_MS).state is FIRING
    fires = run([BAD, BAD, BAD])[-1]
    assert after(fires, BAD, fires.at_ms + 10 * GAP_MS).since_ms == fires.since_ms


def test_a_clock_that_is_set_forward_fires_nothing_and_ends_nothing() -> None:
    hour_ms = 3_600_000
    pending = run([BAD])[-1]
    jumped = after(pending, BAD, pending.at_ms + hour_ms)
    assert names([jumped, *run([BAD, BAD], before=jumped)]) == [PENDING, PENDING, FIRING]
    over = run([BAD, BAD, BAD, GOOD])[-1]
    assert after(over, GOOD, over.at_ms + hour_ms).state is FIRING


def test_a_clock_that_is_set_back_holds_up_nothing() -> None:
    pending = run([BAD, BAD])[-1]
    back = after(pending, BAD, pending.at_ms - 3_600_000)
    assert (back.state, back.since_ms) == (PENDING, back.at_ms)
    assert names(run([BAD, BAD], before=back)) == [PENDING, FIRING]
    resolved = run([BAD] * 3 + [GOOD] * 3)[-1]
    early = after(resolved, GOOD, resolved.at_ms - 86_400_000)
    assert early.since_ms == early.at_ms
    assert names(run([GOOD] * 41, before=early))[-1] is OK


def test_it_is_told_once_and_again_only_when_it_is_to_be_reminded() -> None:
    assert _told([GOOD] + [BAD] * 20) == ["firing"]
    assert _told([BAD] * 12, remind_ms=60_000) == ["firing", "reminder", "reminder"]
    assert _told([BAD] * 3 + [GOOD] * 5 + [BAD] * 3) == ["firing", "resolved", "firing"]


def test_a_silent_alarm_tells_nothing_and_what_still_fires_is_told_afterwards() -> None:
    assert _told([BAD] * 6, silent=range(6)) == []
    assert _told([BAD] * 8, silent=range(5)) == ["firing"]
    assert _told([BAD] * 3 + [GOOD] * 4, silent=range(5)) == []
    assert _told([BAD] * 3 + [GOOD] * 4, silent=range(3, 7)) == ["firing"]


def test_what_began_untold_is_told_as_over_only_to_who_heard_of_it() -> None:
    assert _told([BAD] * 4 + [GOOD] * 4 + [BAD] * 3, silent=range(3, 8)) == ["firing", "firing"]


def _told(values: list[float], remind_ms: int = 0, silent: Iterable[int] = ()) -> list[str]:
    found, before, quiet = [], NEW, set(silent)
    for place, value in enumerate(values):
        now = after(before, value, START_MS + place * STEP_MS)
        what = states.notice(before, now, remind_ms, is_silent=place in quiet)
        before = states.told(now, what)
        found += [what.value] if what is not None else []
    return found


_SAMPLES = strategies.lists(
    strategies.tuples(
        strategies.sampled_from([BAD, BETWEEN, GOOD, None, math.nan]),
        strategies.sampled_from([STEP_MS, STEP_MS, STEP_MS, 1, GAP_MS, 10 * GAP_MS, -STEP_MS, -86_400_000]),
    ),
    max_size=60,
)


@given(_SAMPLES, strategies.sampled_from([RULE, "error_rate > 5%", "error_rate < 5% for 1m hold 0s"]))
def test_whatever_the_samples_it_is_never_in_two_minds(samples: list[tuple[float | None, int]], rule: str) -> None:
    before, at_ms, told = NEW, 10**12, 0
    for value, step_ms in samples:
        at_ms += step_ms
        now = after(before, value, at_ms, rule)
        what = states.notice(before, now, 0, is_silent=False)
        told += {states.Notice.FIRING: 1, states.Notice.RESOLVED: -1}.get(what, 0) if what else 0
        assert told == (now.state is FIRING), "who was told that it fires is told that it is over, once"
        assert 0 < now.since_ms <= now.at_ms == at_ms
        assert now.value is None or math.isfinite(now.value)
        # Nothing leads from quiet to resolved, nor from what fires to quiet.
        assert now.state is not RESOLVED or before.state in (RESOLVED, FIRING)
        assert before.state is not FIRING or now.state in (FIRING, RESOLVED)
        before = states.told(now, what)
