"""Budgets: what is spent of them, which are reached, and letting a function run on all the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

from aiohttp import web

from faas.api import answers, schemas, state
from faas.core import clock, errors, model
from faas.core.money import billing
from faas.core.money import budgets as core_budgets
from faas.store import budgets as reached_budgets


async def list_budgets(request: web.Request) -> web.Response:
    """Every budget in its period of now: that of all functions first, then those of functions, by name."""
    found = await asyncio.to_thread(_states, request.app, clock.now_ms())
    return answers.json(schemas.budgets.BudgetList(currency=request.app[state.PRICES].currency, budgets=tuple(found)))


def _states(app: web.Application, now_ms: int) -> list[schemas.budgets.BudgetState]:
    of_all = app[state.BUDGET_OF_ALL]
    current = app[state.FUNCTIONS].list_current()
    named = {core_budgets.ALL: of_all} if of_all else {}
    named |= {each.function: each.config.budget for each in current if each.config.budget}
    spent = _spent(app[state.BUDGETS], named.values(), now_ms)
    reached = {(one.function, one.period): one for one in app[state.BUDGETS].reached(now_ms)}
    return [_state(name, budget, spent[budget.per], reached, now_ms) for name, budget in named.items()]


def _spent(
    store: reached_budgets.ReachedBudgets, wanted: Iterable[model.CostBudget], now_ms: int
) -> dict[model.Per, dict[str, int]]:
    pers = {budget.per for budget in wanted}
    return {per: store.spent_by_function(core_budgets.period(per, now_ms)) for per in pers}


def _state(
    name: str,
    budget: model.CostBudget,
    spent: Mapping[str, int],
    reached: Mapping[tuple[str, str], core_budgets.Reached],
    now_ms: int,
) -> schemas.budgets.BudgetState:
    period = core_budgets.period(budget.per, now_ms)
    spent_pico = sum(spent.values()) if name == core_budgets.ALL else spent.get(name, 0)
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
