"""One look at all alarms, and what is told of them: decisions without a database."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from faas.alerts import evaluating, figures, messages, states
from faas.core import ids, model
from faas.store import alarms

NOW_MS = 1_800_000_000_000
INTERVAL_MS = 15_000
BUSY = figures.Attempts(count=100, errors=50)


def round_of(*declared: model.Alarm, **given: Any) -> alarms.BegunLook:
    return alarms.BegunLook(
        serial=1,
        slot=1,
        declared=tuple(
            alarms.Declared(alarm=alarm, kind=alarms.AlarmKind.PLATFORM, declared_at_ms=1) for alarm in declared
        ),
        **given,
    )


def look(begun: alarms.BegunLook, **attempts: figures.Attempts) -> alarms.LookOutcome:
    """A look at a platform on which these functions had attempts."""
    found = {figures.Window(60_000, (name,)): each for name, each in attempts.items()}
    return evaluating.look(begun, figures.SeenPlatform(at_ms=NOW_MS, attempts=found), INTERVAL_MS)


def alarm(name: str = "errors", rule: str = "error_rate > 5%", **given: Any) -> model.Alarm:
    return model.Alarm(name=name, rule=rule, **given)


def test_an_alarm_that_comes_to_fire_is_noted_and_told_to_every_place_once() -> None:
    places = (model.ToFunction(function="page"), model.ToLog(), model.ToFunction(function="page"))
    found = look(round_of(alarm(function="a", notify=places)), a=BUSY)
    (standing,) = found.standings
    assert (standing.state, standing.told_at_ms, standing.since_ms) == (model.AlarmState.FIRING, NOW_MS, NOW_MS)
    assert [(each.was, each.became) for each in found.events] == [(model.AlarmState.OK, model.AlarmState.FIRING)]
    assert [(each.place, each.to) for each in found.messages] == [(0, places[0]), (1, places[1])]
    assert len({each.id for each in found.messages}) == 1
    again = look(round_of(alarm(function="a"), standings={standing.key: standing}), a=BUSY)
    assert (again.events, again.messages) == ((), ())


def test_whoever_looks_at_the_same_moment_makes_the_same_ids() -> None:
    one, other = (look(round_of(alarm(function="a")), a=BUSY).messages for _ in range(2))
    assert one == other
    assert ids.is_id(one[0].id)
    (elsewhere,) = look(round_of(alarm("other", function="a")), a=BUSY).messages
    assert elsewhere.id != one[0].id


def test_a_silent_alarm_is_looked_at_and_tells_nobody() -> None:
    for key in (("errors", "a"), ("errors", "")):
        found = look(round_of(alarm(function="a"), silences={key: NOW_MS + 1}), a=BUSY)
        assert found.messages == ()
        assert [each.became for each in found.events] == [model.AlarmState.FIRING]
        assert found.standings[0].told_at_ms == 0
    assert len(look(round_of(alarm(function="a"), silences={("errors", "a"): NOW_MS}), a=BUSY).messages) == 1


def test_an_alarm_on_each_function_stands_for_each_by_itself_and_keeps_only_what_is_worth_it() -> None:
    each = alarm(each=True)
    found = look(round_of(each, functions=frozenset("abc")), a=BUSY, b=figures.Attempts(count=100))
    assert [(one.function, one.state) for one in found.standings] == [("a", model.AlarmState.FIRING)]
    assert json.loads(found.messages[0].body)["function"] == "a"
    gone = look(round_of(each, functions=frozenset("bc"), standings={("errors", "a"): found.standings[0]}))
    assert (gone.standings, gone.gone) == ((), (("errors", "a"),))
    some = alarm(each=True, functions=("b", "x"))
    assert look(round_of(some, functions=frozenset("ab")), a=BUSY, b=BUSY).standings[0].function == "b"


def test_an_alarm_on_all_together_stands_once() -> None:
    begun = round_of(alarm("count", "count > 1", functions=("a", "b")), alarm("all", "count > 1"))
    seen = {figures.Window(60_000, ("a", "b")): BUSY, figures.Window(60_000, ()): figures.Attempts()}
    found = evaluating.look(begun, figures.SeenPlatform(at_ms=NOW_MS, attempts=seen), INTERVAL_MS)
    assert [(each.key, each.state.value) for each in found.standings] == [
        (("count", ""), "firing"),
        (("all", ""), "ok"),
    ]


def test_a_rule_that_cannot_be_read_here_holds_up_no_other() -> None:
    found = look(round_of(alarm("newer", "phase_of_moon > full"), alarm(function="a")), a=BUSY)
    assert [each.alarm for each in found.standings] == ["errors"]


def test_calls_that_come_and_go_leave_no_history() -> None:
    standings: dict[alarms.Key, alarms.Standing] = {}
    for attempts in ({}, {"a": figures.Attempts(count=9)}) * 3:
        found = look(round_of(alarm(function="a"), standings=standings), **attempts)
        assert found.events == ()
        standings = {each.key: each for each in found.standings}


@pytest.mark.parametrize(
    ("state", "before", "cloudwatch"),
    [("firing", "ok", "ALARM"), ("resolved", "firing", "OK"), ("no_data", "ok", "INSUFFICIENT_DATA")],
)
def test_a_message_says_all_of_it_to_people_and_to_handlers_of_others(state: str, before: str, cloudwatch: str) -> None:
    made = alarm("resize.errors", function="resize")
    then = alarms.Standing(alarm=made.name, function="resize", state=model.AlarmState(before), at_ms=NOW_MS - 1)
    now = msgspec.structs.replace(then, state=model.AlarmState(state), at_ms=NOW_MS, value=8e4, text="it is 8%")
    (message,) = messages.of(made, then, now, states.Notice.FIRING)
    told = json.loads(message.body)
    assert told["text"] == "FIRING: resize.errors: it is 8%"
    assert (told["alarm"], told["function"], told["rule"]) == ("resize.errors", "resize", "error_rate > 5%")
    assert (told["id"], told["value"], told["at_ms"]) == (message.id, 8e4, NOW_MS)
    data = told["alarmData"]
    assert (data["alarmName"], data["state"]["value"]) == ("resize.errors", cloudwatch)
    assert data["state"]["timestamp"] == "2027-01-15T08:00:00.000+0000"


def test_a_test_says_that_it_is_one() -> None:
    (message,) = messages.of_test(alarm(), alarms.Standing(alarm="errors", function="a"), NOW_MS)
    told = json.loads(message.body)
    assert (told["kind"], told["text"].split(":")[:2]) == ("test", ["TEST", " errors of a"])
