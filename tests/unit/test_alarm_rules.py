"""Rules of alarms: what is read of one, and what is said of one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies

from faas.core import errors
from faas.core.alarms import figures, rules

MINUTE_MS = 60_000
Unit = figures.Unit


@pytest.mark.parametrize(
    ("text", "figure", "operator", "value", "clauses"),
    [
        ("error_rate > 5% for 5m", "error_rate", ">", 50_000, {"for_ms": 5 * MINUTE_MS}),
        ("error_rate>5%", "error_rate", ">", 50_000, {}),
        ("  error_rate  >=  0.5%  until 0.1% ", "error_rate", ">=", 5_000, {"until": 1_000}),
        ("p99 > 800ms over 10m hold 0s", "p99", ">", 800_000, {"over_ms": 10 * MINUTE_MS, "hold_ms": 0}),
        ("p50 > 1.5s for 90s until 1s", "p50", ">", 1_500_000, {"for_ms": 90_000, "until": 1_000_000}),
        ("count < 1 over 1h", "count", "<", 1, {"over_ms": 60 * MINUTE_MS}),
        ("cost_per_hour > 0.50", "cost_per_hour", ">", 500_000_000_000, {}),
        ("cost_per_hour > 0.000000000001", "cost_per_hour", ">", 1, {}),
        ("queue_age > 30s for 1m", "queue_age", ">", 30_000_000, {"for_ms": MINUTE_MS}),
        ("disk >= 90% until 85%", "disk", ">=", 900_000, {"until": 850_000}),
        ("waiting <= 10 until 20", "waiting", "<=", 10, {"until": 20}),
        ("doctor.disk is not ok", "doctor.disk", "is not", "ok", {}),
        ("doctor.redis is failed for 1m", "doctor.redis", "is", "failed", {"for_ms": MINUTE_MS}),
    ],
)  # fmt: skip
def test_a_rule_is_read(text: str, figure: str, operator: str, value: object, clauses: dict[str, int]) -> None:
    found = rules.parse(text)
    assert (found.figure.name, found.operator.value, found.value) == (figure, operator, value)
    plain = rules.AlarmRule(figure=found.figure, operator=found.operator, value=found.value)
    assert found == msgspec.structs.replace(plain, **clauses)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a figure first: count, errors, error_rate"),
        ("latency > 5s", "a figure first"),
        ("error_rates > 5%", "did you mean error_rate?"),
        ("doctor.dsk is ok", "did you mean doctor.disk?"),
        ("error_rate", "one of >, >=, <, <= behind error_rate"),
        ("error_rate == 5%", "one of >, >=, <, <= behind error_rate"),
        ("error_rate is bad", "one of >, >=, <, <= behind error_rate"),
        ("error_rate > 0.05", "a share from 0% to 100%, such as 5% behind `>`"),
        ("error_rate > 101%", "a share from 0% to 100%"),
        ("error_rate > 0.00001%", "a share from 0% to 100%"),
        ("p99 > 800", "a duration such as 800ms or 2s behind `>`"),
        ("count > 1.5", "a whole number such as 100 behind `>`"),
        ("cost_per_hour > $5", "an amount of the currency such as 0.50"),
        ("doctor.disk > 5", "`doctor.disk is` or `doctor.disk is not`"),
        ("doctor.disk is not", "one of ok, warning, failed, unknown behind `is not`"),
        ("doctor.disk is not ok until ok", "no `until`: a fact is so or it is not"),
        ("error_rate > 5% for", "a span from 0s to 1d in whole seconds behind `for`, such as 5m"),
        ("error_rate > 5% for 0.5s", "a span from 0s to 1d in whole seconds behind `for`"),
        ("error_rate > 5% for 2d", "a span from 0s to 1d"),
        ("error_rate > 5% over 90s", "a span from 1m to 1d in whole minutes behind `over`"),
        ("error_rate > 5% for 5m for 6m", "`for` once"),
        ("error_rate > 5% in 5m", "only `over SPAN`, `for SPAN`, `until VALUE` and `hold SPAN`"),
        ("queue_age > 30s over 5m", "no `over`: queue_age is what it is at the moment"),
        ("error_rate > 5% until 6%", "`until` at most 5%, the value at which it fires"),
        ("count < 5 until 4", "`until` at least 5, the value at which it fires"),
        ("count > 1 " + "x" * 400, "at most 300 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_what_is_allowed_there(text: str, expected: str) -> None:
    assert expected in rules.fault(text)
    with pytest.raises(errors.BadRequest, match="rule: found "):
        rules.parse(text)


def _values(unit: Unit) -> strategies.SearchStrategy[int | str]:
    if unit is Unit.WORD:
        return strategies.sampled_from(figures.STATES)
    return strategies.integers(0, 1_000_000 if unit is Unit.PPM else 10**18 - 1)


@strategies.composite
def _rules(draw: strategies.DrawFn) -> rules.AlarmRule:
    figure = draw(strategies.sampled_from(list(figures.ALL.values())))
    operators = list(rules.Comparison)
    is_word = figure.unit is Unit.WORD
    operator = draw(strategies.sampled_from(operators[4:] if is_word else operators[:4]))
    value, until = draw(_values(figure.unit)), None
    if not is_word and draw(strategies.booleans()):
        other = draw(_values(figure.unit))
        value, until = (max(value, other), min(value, other)) if operator.is_upward else sorted((value, other))  # type: ignore[type-var]
    seconds = strategies.integers(0, 86_400).map(lambda s: s * 1_000)
    over_ms = draw(strategies.integers(1, 1_440)) * MINUTE_MS if figure.is_windowed else MINUTE_MS
    return rules.AlarmRule(
        figure=figure, operator=operator, value=value, until=until, over_ms=over_ms, for_ms=draw(seconds),
        hold_ms=draw(seconds),
    )  # fmt: skip


@given(_rules())
def test_every_rule_is_written_as_it_is_read(rule: rules.AlarmRule) -> None:
    assert rules.parse(rules.written(rule)) == rule


_WORDS = ("error_rate", "p99", "disk", "doctor.disk", ">", ">=", "is", "not", "ok", "5%", "800ms", "7", "for", "5m",
          "until", "over", "hold", "0.5", "%", ">5%")  # fmt: skip


@given(strategies.one_of(strategies.text(), strategies.lists(strategies.sampled_from(_WORDS)).map(" ".join)))
def test_any_text_is_a_rule_or_is_told_why_not(text: str) -> None:
    expected = rules.fault(text)
    if not expected:
        rule = rules.parse(text)
        assert rules.parse(rules.written(rule)) == rule
    else:
        assert expected.isprintable()


def test_every_figure_and_fact_is_on_the_page_that_explains_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "alarms.md").read_text(encoding="utf-8")
    names = {name.removeprefix(figures.FACT) for name in figures.ALL}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_thresholds_are_met_exactly_and_the_second_one_only_while_it_fires() -> None:
    rule = rules.parse("error_rate > 7% until 3%")
    assert not rule.is_met(7 * 1_000_000 / 100, fires=False)
    assert rule.is_met(70_001.0, fires=False)
    assert rule.is_met(50_000.0, fires=True)
    assert not rule.is_met(30_000.0, fires=True)
    assert rules.parse("doctor.disk is not ok").is_met("failed", fires=False)
    assert not rules.parse("doctor.disk is not ok").is_met("ok", fires=True)
