"""Budgets: their periods, which stop is in force, and what is said of it."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import errors, model
from faas.core import settings as settings_module
from faas.core.money import budgets
from faas.health import facts, spending


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("per", "moment", "name", "since", "until"),
    [
        (model.Per.DAY, "2026-11-29T12:30:00", "2026-11-29", "2026-11-29T00:00:00", "2026-11-30T00:00:00"),
        (model.Per.DAY, "2026-12-31T23:59:59.999", "2026-12-31", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        (model.Per.MONTH, "2026-11-01T00:00:00", "2026-11", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        (model.Per.MONTH, "2026-12-31T23:59:59.999", "2026-12", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        (model.Per.MONTH, "2028-02-29T01:00:00", "2028-02", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_periods_are_days_and_months_of_utc(per: model.Per, moment: str, name: str, since: str, until: str) -> None:
    assert budgets.period(per, at(moment)) == budgets.Period(name, at(since), at(until))


@given(st.sampled_from(model.Per), st.integers(0, 253_402_300_799_999 - 366 * 86_400_000))
def test_every_moment_is_in_its_period_and_the_next_begins_where_that_ends(per: model.Per, at_ms: int) -> None:
    found = budgets.period(per, at_ms)
    assert found.since_ms <= at_ms < found.until_ms
    assert budgets.period(per, found.until_ms).since_ms == found.until_ms
    assert budgets.period(per, found.until_ms - 1) == found


def stop(function: str, until_ms: int) -> budgets.BudgetStop:
    return budgets.BudgetStop(function, 5 * 10**12, model.Per.MONTH, until_ms)


def test_a_function_is_stopped_by_its_own_budget_and_by_that_of_all() -> None:
    own, of_all = stop("a", 10), stop(budgets.ALL, 20)
    assert budgets.stop_of({}, "a") is None
    assert budgets.stop_of({"a": own}, "a") == own
    assert budgets.stop_of({"a": own}, "b") is None
    assert budgets.stop_of({"a": own, budgets.ALL: of_all}, "a") == of_all
    assert budgets.stop_of({"a": stop("a", 30), budgets.ALL: of_all}, "a") == stop("a", 30)


def test_a_stop_ends_with_its_period() -> None:
    budgets.refuse("a", None, 5)
    budgets.refuse("a", stop("a", 1_000), 1_000)
    with pytest.raises(errors.BudgetReached) as refused:
        budgets.refuse("a", stop("a", 1_000), 999)
    assert (refused.value.http_status, refused.value.code, refused.value.exit_code) == (429, "budget_reached", 6)
    assert refused.value.message == "the budget of a is reached: 5.00 a month"
    assert "faas budget lift 'a'" in refused.value.hint
    assert refused.value.retry_after_s == 1


def test_nobody_is_sent_away_for_longer_than_an_hour() -> None:
    assert budgets.refusal("a", stop(budgets.ALL, 10**10), 0).retry_after_s == 3_600
    assert "all functions together" in budgets.refusal("a", stop(budgets.ALL, 10**10), 0).message


@pytest.mark.parametrize(
    ("amount", "pico"), [("", None), ("0", None), ("0.00", None), ("5", 5 * 10**12), ("0.000000001", 1_000)]
)
def test_the_budget_of_all_functions_is_a_setting(amount: str, pico: int | None) -> None:
    found = budgets.of_all(settings_module.of(budget_amount=amount, budget_per="day", budget_then="stop").budgets)
    assert found == (
        None if pico is None else model.CostBudget(amount_pico=pico, per=model.Per.DAY, then=model.Then.STOP)
    )


@pytest.mark.parametrize("amount", ["-1", "1e3", "five", "1.", ".5", "1,5", "12345678", "0.0000000001"])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    with pytest.raises(errors.BadRequest):
        settings_module.of(budget_amount=amount)


def reached(**changes: object) -> budgets.Reached:
    given: dict[str, object] = {
        "function": "a", "period": "2026-11", "per": model.Per.MONTH, "then": model.Then.STOP,
        "amount_pico": 5, "spent_pico": 6, "at_ms": 1, "until_ms": 100, **changes,
    }  # fmt: skip
    return budgets.Reached(**given)  # type: ignore[arg-type]


def test_what_is_reached_stops_until_it_is_lifted_or_its_period_is_over() -> None:
    assert reached().stops(99)
    assert not reached().stops(100)
    assert not reached(lifted_at_ms=7).stops(50)
    assert not reached(then=model.Then.WARN).stops(50)


def test_a_budget_that_was_changed_is_another() -> None:
    budget = model.CostBudget(amount_pico=5, per=model.Per.MONTH, then=model.Then.STOP)
    assert reached().is_of(budget)
    for other in (
        None,
        model.CostBudget(amount_pico=6, per=model.Per.MONTH, then=model.Then.STOP),
        model.CostBudget(amount_pico=5, per=model.Per.DAY, then=model.Then.STOP),
        model.CostBudget(amount_pico=5, per=model.Per.MONTH, then=model.Then.WARN),
    ):
        assert not reached().is_of(other)


def test_a_fact_names_some_of_what_is_reached_and_none_that_was_lifted() -> None:
    lifted = spending.fact([reached(lifted_at_ms=7)], 50)
    assert (lifted.state, "lifted: " in lifted.text) == (facts.Severity.OK, True)
    found = spending.fact([reached(function=f"f{n}", then=model.Then.WARN) for n in range(7)], 50)
    assert found.state is facts.Severity.WARNING
    assert found.text.startswith("reached: f0 (0.000000000005 a month), f1 (")
    assert found.text.endswith("f4 (0.000000000005 a month) and 2 more")
