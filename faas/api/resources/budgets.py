"""Budgets: what is spent of them, which are reached, and letting a function run on all the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from aiohttp import web

from faas.api import answers, schemas, state
from faas.api.prometheus import metrics_budgets
from faas.core import clock, errors, model
from faas.core.money import billing
from faas.core.money import budgets as core_budgets
from faas.store import budgets as reached_budgets
from faas.store import functions


class Declared:
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


DECLARED = web.AppKey("declared_budgets", Declared)


async def list_budgets(request: web.Request) -> web.Response:
    """Every budget in its period of now: that of all functions first, then those of functions, by name."""
    found = await asyncio.to_thread(_states, request.app, clock.now_ms())
    return answers.json(schemas.budgets.BudgetList(currency=request.app[state.PRICES].currency, budgets=tuple(found)))


def _states(app: web.Application, now_ms: int) -> list[schemas.budgets.BudgetState]:
    named, reached = _named(app), _reached(app, now_ms)
    periods = {each.per: core_budgets.period(each.per, now_ms) for each in named.values()}
    spent = {per: app[state.BUDGETS].spent_by_function(period) for per, period in periods.items()}
    all_of_it = {per: sum(each.values()) for per, each in spent.items()}
    return [
        _state(
            name,
            budget,
            all_of_it[budget.per] if name == core_budgets.ALL else spent[budget.per].get(name, 0),
            reached,
            now_ms,
        )
        for name, budget in named.items()
    ]


def gauged(app: web.Application, name_of: Callable[[str], str], now_ms: int) -> metrics_budgets.Gauged:
    """How many budgets are in which state, and how far those are whose function has a name in metrics. Blocks."""
    named, reached = _named(app), _reached(app, now_ms)
    counts = Counter(how(one, now_ms) for one in reached.values() if one.function in named)
    counts["under"] = len(named) - counts.total()
    shown = {name: each for name, each in named.items() if name == core_budgets.ALL or name_of(name) == name}
    spent = _spent(app[state.BUDGETS], shown, now_ms)
    return metrics_budgets.Gauged(counts, [_state(name, shown[name], spent[name], reached, now_ms) for name in shown])


def _named(app: web.Application) -> dict[str, model.CostBudget]:
    of_all = app[state.BUDGET_OF_ALL]
    return {**({core_budgets.ALL: of_all} if of_all else {}), **app[DECLARED].read(app[state.FUNCTIONS])}


_States = Mapping[tuple[str, str], core_budgets.Reached]


def _reached(app: web.Application, now_ms: int) -> _States:
    return {(one.function, one.period): one for one in app[state.BUDGETS].reached(now_ms)}


def _spent(
    store: reached_budgets.ReachedBudgets, named: Mapping[str, model.CostBudget], now_ms: int
) -> Mapping[str, int]:
    """What is spent of some budgets, by their name."""
    found = dict.fromkeys(named, 0)
    for per in {each.per for each in named.values()}:
        period, its = core_budgets.period(per, now_ms), [name for name in named if named[name].per is per]
        if core_budgets.ALL in its:
            its.remove(core_budgets.ALL)
            found[core_budgets.ALL] = store.spent_pico(core_budgets.ALL, period)
        found |= store.spent_of(its, period) if its else {}
    return found


def _state(
    name: str, budget: model.CostBudget, spent_pico: int, reached: _States, now_ms: int
) -> schemas.budgets.BudgetState:
    period = core_budgets.period(budget.per, now_ms)
    one = reached.get((name, period.name))
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
        state="under" if one is None else how(one, now_ms),
        reached_at_ms=None if one is None else one.at_ms,
    )


def how(one: core_budgets.Reached, now_ms: int) -> str:
    """The state of a budget that is reached, in one word."""
    if one.lifted_at_ms is not None:
        return "lifted"
    return "stopped" if one.stops(now_ms) else "reached"


def told(one: core_budgets.Reached, now_ms: int) -> schemas.budgets.BudgetState:
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
        state=how(one, now_ms),
        reached_at_ms=one.at_ms,
    )


async def lift_budget(request: web.Request) -> web.Response:
    """Let what a budget stops run on until its period is over."""
    name, now_ms = request.match_info["name"], clock.now_ms()
    lifted = await asyncio.to_thread(request.app[state.BUDGETS].lift, name, now_ms)
    if not lifted:
        raise errors.NotFound(
            f"no budget stops {'all functions' if name == core_budgets.ALL else name[:80]}",
            hint="`faas budget ls` shows which do; a call may be stopped by the budget of all functions, `*`",
            function=name,
        )
    version = await asyncio.to_thread(request.app[state.FUNCTIONS].catalog_version)
    with contextlib.suppress(errors.Unavailable):  # they look at the catalog anyway, some seconds later
        await request.app[state.CALLS].announce(version)
    return answers.json(schemas.budgets.Lifted(name, tuple(one.period for one in lifted)))
