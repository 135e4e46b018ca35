"""Budgets: the periods that they are for, and what is refused while one is reached. Pure functions, UTC throughout.

::

    under ──spent >= amount──► reached ──period over, budget raised or taken away──► under
                                  └────lifted by a person────► lifted ──period over──► under

A budget that is reached warns once a period, and stops what it is of if it says so. What runs at that moment goes on,
so a period may cost more than its budget: by what was running, and by what ended in the second before it was known.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Mapping

import msgspec

from faas.core import errors, groups, model
from faas.core.money import billing

ALL = "*"
"""Stands for all functions together where a budget is named."""

_MOST_RETRY_AFTER_S = 3_600
"""A budget may be raised or lifted at any time, so nobody is told to stay away for longer."""


class Period(msgspec.Struct, frozen=True):
    """A UTC day (``2026-11-29``) or month (``2026-11``), from its first millisecond to that of the next one."""

    name: str
    since_ms: int
    until_ms: int


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that is reached in a period. ``function`` may be `ALL`. ``spent_pico`` is what it was by then."""

    function: str
    period: str
    per: model.Per
    then: model.Then
    amount_pico: int
    spent_pico: int
    at_ms: int
    until_ms: int
    lifted_at_ms: int | None = None

    def stops(self, now_ms: int) -> bool:
        """Whether it keeps its function from running."""
        return self.then is model.Then.STOP and self.lifted_at_ms is None and now_ms < self.until_ms

    def is_of(self, budget: model.CostBudget | None) -> bool:
        """Whether it is this budget that was reached, and not one that was there before."""
        return budget is not None and budget == model.CostBudget(
            amount_pico=self.amount_pico, per=self.per, then=self.then
        )


class BudgetStop(msgspec.Struct, frozen=True):
    """What a function may not run for: the budget of ``function`` (or of `ALL`) until its period is over."""

    function: str
    amount_pico: int
    per: model.Per
    until_ms: int


def period(per: model.Per, at_ms: int) -> Period:
    """The period that holds a moment."""
    day = datetime.datetime.fromtimestamp(at_ms // 1000, datetime.UTC).date()
    if per is model.Per.DAY:
        return Period(day.isoformat(), _ms(day), _ms(day + datetime.timedelta(days=1)))
    first = day.replace(day=1)
    return Period(f"{first:%Y-%m}", _ms(first), _ms((first + datetime.timedelta(days=31)).replace(day=1)))


def of_all(settings: groups.Budgets) -> model.CostBudget | None:
    """The budget of all functions together, as the settings have it; None for no bound."""
    amount = decimal.Decimal(settings.budget_amount or 0)
    if not amount:
        return None
    per, then = model.Per(settings.budget_per), model.Then(settings.budget_then)
    return model.CostBudget(amount_pico=int(amount * 10**12), per=per, then=then)


def stop_of(stops: Mapping[str, BudgetStop], function: str) -> BudgetStop | None:
    """What stops a function: its own budget or that of all, whichever does so for longer."""
    if not stops:
        return None
    found = [stops[name] for name in (function, ALL) if name in stops]
    return max(found, key=lambda stop: stop.until_ms, default=None)


def refuse(function: str, stop: BudgetStop | None, now_ms: int) -> None:
    """Raise `errors.BudgetReached` while a stop holds."""
    if stop is not None and now_ms < stop.until_ms:
        raise refusal(function, stop, now_ms)


def refusal(function: str, stop: BudgetStop, now_ms: int) -> errors.BudgetReached:
    """Why a function does not run, and what can be done about it."""
    whose = "all functions together" if stop.function == ALL else function
    left_s = math.ceil((stop.until_ms - now_ms) / 1000)
    return errors.BudgetReached(
        f"the budget of {whose} is reached: {billing.decimal(stop.amount_pico)} a {stop.per}",
        retry_after_s=max(1, min(left_s, _MOST_RETRY_AFTER_S)),
        hint=f"it begins anew with the next {stop.per} (UTC); `faas budget lift '{stop.function}'` lets it run before",
        function=function,
        until_ms=stop.until_ms,
    )


def _ms(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()) * 1000
