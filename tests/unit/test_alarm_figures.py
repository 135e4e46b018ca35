"""The figures of rules, from what was found of a platform."""

from __future__ import annotations

from typing import Any

import pytest

from faas.alerts import figures, gathering
from faas.core import model
from faas.core.alarms import figures as alarm_figures
from faas.core.alarms import rules
from faas.health import checks, facts
from faas.queue import census

MINUTE_MS = 60_000
SEEN = figures.SeenPlatform(
    at_ms=90_000,
    attempts={
        figures.Window(MINUTE_MS, ("a",)): figures.Attempts(
            count=100, errors=7, cold_starts=10, cost_pico=5_000_000, p50=1_000, p90=2_000, p99=900_000, p999=950_000
        ),
        figures.Window(MINUTE_MS, ("a", "b")): figures.Attempts(count=300, errors=9, p99=500_000),
        figures.Window(MINUTE_MS, ()): figures.Attempts(count=1_000, errors=500),
    },
    spans_ms={MINUTE_MS: 90_000},
    dead={MINUTE_MS: {"a": 2, "c": 5}},
    places={
        "a": figures.QueueFigures(waiting=3, oldest_ms=1_500, drift=1),
        "c": figures.QueueFigures(waiting=4, oldest_ms=9_000),
    },
    disk=figures.Disk(75 * 1024**3, 25 * 1024**3),
    facts={"disk": ("warning", "0.5 GiB free")},
)


def sample(rule: str, seen: figures.SeenPlatform = SEEN, function: str = "", **alarm: Any) -> Any:
    made = model.Alarm(name="x", rule=rule, **alarm)
    return figures.sample(made, rules.parse(rule), function, seen)


@pytest.mark.parametrize(
    ("rule", "value", "text"),
    [
        ("count > 1", 100, "count of a is 100 (within 1m)"),
        ("errors > 1", 7, "errors of a is 7 (within 1m)"),
        ("error_rate > 1%", 70_000.0, "error_rate of a is 7% (7 of 100 attempts within 1m)"),
        ("cold_share > 1%", 100_000.0, "cold_share of a is 10% (10 of 100 attempts within 1m)"),
        ("p99 > 1s", 900_000, "p99 of a is 900ms (of 100 attempts within 1m)"),
        ("p50 > 1s", 1_000, "p50 of a is 1ms (of 100 attempts within 1m)"),
        # 5 millionths in 90 seconds, as the window began with a whole minute.
        ("cost_per_hour > 1", 200_000_000.0, "cost_per_hour of a is 0.000200 (within 1m)"),
        ("dead_letters > 0", 2, "dead_letters of a is 2 (within 1m)"),
        ("waiting > 0", 3, "waiting of a is 3"),
        ("queue_age > 1s", 1_500_000, "queue_age of a is 1.5s"),
        ("drift > 0", 1, "drift of a is 1"),
    ],
)
def test_a_figure_of_one_function(rule: str, value: float, text: str) -> None:
    found = sample(rule, function="a")
    assert (found.value, found.text, found.at_ms) == (value, text, 90_000)


@pytest.mark.parametrize(
    ("rule", "functions", "value"),
    [
        ("count > 1", (), 1_000), ("error_rate > 1%", (), 500_000.0), ("count > 1", ("a", "b"), 300),
        ("p99 > 1s", ("a", "b"), 500_000), ("dead_letters > 0", (), 7), ("dead_letters > 0", ("a", "b"), 2),
        ("waiting > 0", (), 7), ("queue_age > 1s", (), 9_000_000), ("queue_age > 1s", ("a", "b"), 1_500_000),
        ("disk > 1%", (), 750_000.0), ("doctor.disk is ok", (), "warning"),
    ],
)  # fmt: skip
def test_a_figure_of_several_together(rule: str, functions: tuple[str, ...], value: object) -> None:
    assert sample(rule, functions=functions).value == value


def test_a_share_that_is_just_the_limit_is_not_above_it() -> None:
    """In floating point 41 of 80, divided first, are a little less than 51.25%."""
    seen = figures.SeenPlatform(
        at_ms=1, attempts={figures.Window(MINUTE_MS, ("a",)): figures.Attempts(count=80, errors=41)}
    )
    rule = rules.parse("error_rate >= 51.25%")
    assert rule.is_met(sample("error_rate >= 51.25%", seen, "a").value, fires=False)


def test_what_was_measured_is_rounded_for_people_and_not_for_the_rule() -> None:
    seen = figures.SeenPlatform(
        at_ms=1, attempts={figures.Window(MINUTE_MS, ("a",)): figures.Attempts(count=30, errors=16, p99=348_912)}
    )
    found = sample("error_rate > 1%", seen, "a")
    assert (found.value, found.text.partition(" (")[0]) == (16 * 1_000_000 / 30, "error_rate of a is 53.33%")
    assert sample("p99 > 1s", seen, "a").text.startswith("p99 of a is 348.912ms")


def test_counts_of_no_attempts_are_known_and_rates_of_none_are_not() -> None:
    assert sample("count < 1", function="nobody").value == 0
    assert sample("errors > 1", function="nobody").value == 0
    assert sample("cost_per_hour > 1", function="nobody").value == 0
    assert sample("waiting > 1", function="nobody").value == 0
    for rule in ("error_rate > 1%", "cold_share > 1%", "p99 > 1s"):
        found = sample(rule, function="nobody")
        assert (found.value, found.text) == (None, "no attempt within 1m")


@pytest.mark.parametrize("rule", ["count > 1", "queue_age > 1s", "disk > 1%", "doctor.disk is ok"])
def test_what_could_not_be_asked_is_nothing_and_says_why(rule: str) -> None:
    found = sample(rule, figures.SeenPlatform(at_ms=1, why="Redis is away"))
    assert found.value is None
    assert "Redis is away" in found.text or "disk" in found.text
    assert sample("doctor.nodes is ok").text == "there is no fact `nodes` here"


def test_only_what_rules_are_on_is_asked_for() -> None:
    def wanted(rule: str, **alarm: Any) -> figures.Wanted:
        return figures.wanted([(model.Alarm(name="x", rule=rule, **alarm), rules.parse(rule))])

    assert wanted("count > 1", function="a") == figures.Wanted(windows=frozenset([figures.Window(MINUTE_MS, ("a",))]))
    assert wanted("p99 > 1s over 5m") == figures.Wanted(windows=frozenset([figures.Window(5 * MINUTE_MS, ())]))
    both = frozenset(figures.Window(MINUTE_MS, (name,)) for name in ("a", "b"))
    assert wanted("count > 1", functions=("a", "b"), each=True) == figures.Wanted(windows=both)
    assert wanted("count > 1", each=True) == figures.Wanted(each_over_ms=frozenset([MINUTE_MS]))
    assert wanted("dead_letters > 1 over 1h") == figures.Wanted(dead_over_ms=frozenset([60 * MINUTE_MS]))
    assert wanted("queue_age > 1s") == figures.Wanted(places=True)
    assert wanted("disk > 1%") == figures.Wanted(disk=True)
    assert wanted("doctor.disk is ok") == figures.Wanted(facts=True)


def test_the_worst_of_several_facts_of_one_name_counts() -> None:
    found = gathering.by_name(
        [
            facts.Fact("durability", facts.Severity.OK, "fine"),
            facts.Fact("durability", facts.Severity.FAILED, "not fine"),
            facts.Fact("process api", facts.Severity.OK, "process 1"),
            facts.Fact("process node", facts.Severity.WARNING, "process 2"),
            facts.Fact("bucket", facts.Severity.FAILED, "elsewhere"),
        ]
    )
    assert found == {
        "durability": ("failed", "not fine"), "processes": ("warning", "process 2"), "buckets": ("failed", "elsewhere")
    }  # fmt: skip


def test_places_of_revisions_are_added_up_and_drift_of_one_hides_none_of_another() -> None:
    def places(waiting: int, oldest_ms: int, accepted: int) -> census.Places:
        return census.Places(model.Counts(accepted=accepted, waiting=waiting), oldest_ms)

    found = gathering.of_functions({"a@1": places(1, 5, 2), "a@2": places(2, 9, 1), "b@1": places(0, 0, 0)})
    assert found == {"a": figures.QueueFigures(waiting=3, oldest_ms=9, drift=2), "b": figures.QueueFigures()}


def test_every_check_of_a_platform_can_be_alarmed_on() -> None:
    assert {check.name for check in checks.CHECKS.quick} <= set(alarm_figures.FACTS)


def test_a_window_begins_with_a_whole_minute_and_is_never_shorter_than_asked() -> None:
    assert gathering.begin_ms(119_999, MINUTE_MS) == 0
    assert gathering.begin_ms(120_000, MINUTE_MS) == 60_000
    assert gathering.begin_ms(125_000, MINUTE_MS) == 60_000
