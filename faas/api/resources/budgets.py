"""Budgets: what is spent of them, which are reached, and letting a function run on all the same."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from faas.api import answers, budget_states, schemas, state
from faas.core import clock, errors
from faas.core.money import budgets as core_budgets


async def list_budgets(request: web.Request) -> web.Response:
    """Every budget in its period of now: that of all functions first, then those of functions, by name."""
    found = await asyncio.to_thread(_states, request.app, clock.now_ms())
    return answers.json(schemas.budgets.BudgetList(currency=request.app[state.PRICES].currency, budgets=tuple(found)))


def _states(app: web.Application, now_ms: int) -> list[schemas.budgets.BudgetState]:
    named, reached = budget_states.named(app), budget_states.reached(app, now_ms)
    periods = {each.per: core_budgets.period(each.per, now_ms) for each in named.values()}
    spent = {per: app[state.BUDGETS].spent_by_function(period) for per, period in periods.items()}
    all_of_it = {per: sum(each.values()) for per, each in spent.items()}
    return [
        budget_states.state_of(
            name,
            budget,
            all_of_it[budget.per] if name == core_budgets.ALL else spent[budget.per].get(name, 0),
            reached,
            now_ms,
        )
        for name, budget in named.items()
    ]


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
