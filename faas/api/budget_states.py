"""How budgets stand: what handlers and metrics both tell of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from aiohttp import web

from faas.api import schemas, state
from faas.core import model
from faas.core.money import billing
from faas.core.money import budgets as core_budgets
from faas.store import budgets as reached_budgets
from faas.store import functions


class DeclaredBudgets:
    """The budgets of functions. The catalog is read again when it has changed, and not each time that somebody asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = -1
        self._found: Mapping[str, model.CostBudget] = {}

    def read(self, store: functions.Functions) -> Mapping[str, model.CostBudget]:
        """By the name of their function, in order. Blocks."""
        with self._lock:
            # Asked before: what changes meanwhile is read the next time.
            version = store.catalog_version()
            if version != self._version:
                current = store.list_current()
                self._found = {each.function: each.config.budget for each in current if each.config.budget}
                self._version = version
            return self._found


DECLARED = web.AppKey("declared_budgets", DeclaredBudgets)


def named(app: web.Application) -> dict[str, model.CostBudget]:
    """Every budget by whose it is, that of all functions first. Blocks."""
    of_all = app[state.BUDGET_OF_ALL]
    return {**({core_budgets.ALL: of_all} if of_all else {}), **app[DECLARED].read(app[state.FUNCTIONS])}


ReachedByName = Mapping[tuple[str, str], core_budgets.Reached]
"""By whose it is and the name of its period."""


def reached(app: web.Application, now_ms: int) -> ReachedByName:
    """The budgets that are reached, lifted ones too. Blocks."""
    return {(one.function, one.period): one for one in app[state.BUDGETS].reached(now_ms)}


def spent(
    store: reached_budgets.ReachedBudgets, some: Mapping[str, model.CostBudget], now_ms: int
) -> Mapping[str, int]:
    """What is spent of some budgets, by whose they are, at a cost that grows with their number. Blocks."""
    found = dict.fromkeys(some, 0)
    for per in {each.per for each in some.values()}:
        period, its = core_budgets.period(per, now_ms), [name for name in some if some[name].per is per]
        if core_budgets.ALL in its:
            its.remove(core_budgets.ALL)
            found[core_budgets.ALL] = store.spent_pico(core_budgets.ALL, period)
        found |= store.spent_of(its, period) if its else {}
    return found


def state_of(
    name: str, budget: model.CostBudget, spent_pico: int, found: ReachedByName, now_ms: int
) -> schemas.budgets.BudgetState:
    """How a budget stands in its period of now."""
    period = core_budgets.period(budget.per, now_ms)
    one = found.get((name, period.name))
    return schemas.budgets.BudgetState(
        function=name,
        per=budget.per,
        then=budget.then,
        period=period.name,
        until_ms=period.until_ms,
        amount_pico=budget.amount_pico,
        amount_decimal=billing.decimal(budget.amount_pico),
        spent_pico=spent_pico,
        spent_decimal=billing.decimal(spent_pico),
        state="under" if one is None else state_name(one, now_ms),
        reached_at_ms=None if one is None else one.at_ms,
    )


def state_name(one: core_budgets.Reached, now_ms: int) -> str:
    """The state of a budget that is reached, in one word."""
    if one.lifted_at_ms is not None:
        return "lifted"
    return "stopped" if one.stops(now_ms) else "reached"


def at_its_reaching(one: core_budgets.Reached, now_ms: int) -> schemas.budgets.BudgetState:
    """A budget that is reached, with what was spent when it was."""
    return schemas.budgets.BudgetState(
        function=one.function,
        per=one.per,
        then=one.then,
        period=one.period,
        until_ms=one.until_ms,
        amount_pico=one.amount_pico,
        amount_decimal=billing.decimal(one.amount_pico),
        spent_pico=one.spent_pico,
        spent_decimal=billing.decimal(one.spent_pico),
        state=state_name(one, now_ms),
        reached_at_ms=one.at_ms,
    )
