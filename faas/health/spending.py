"""Whether a budget is reached: what warns of it, or stops functions, until its day or month is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from faas.core import clock, errors, groups
from faas.core.money import billing, budgets
from faas.health import facts, ledger
from faas.store import budgets as reached_budgets
from faas.store import schema

_MOST_NAMED = 5


def gather(data: groups.Data) -> Iterator[facts.Fact]:
    """The fact ``budgets``; none where there is no database, or one of before there were budgets.

    Raises `errors.Unavailable`.
    """
    now_ms = clock.now_ms()
    try:
        with ledger.opened(data) as engine:
            if engine is None or not sa.inspect(engine).has_table(schema.budgets.name):
                return
            reached = reached_budgets.ReachedBudgets(engine).reached(now_ms)
    except sa.exc.SQLAlchemyError as error:
        raise errors.Unavailable(f"the budgets cannot be read: {error}".splitlines()[0]) from error
    yield fact(reached, now_ms)


def fact(reached: Sequence[budgets.Reached], now_ms: int) -> facts.Fact:
    """What is said of budgets that are reached. Pure."""
    held = [one for one in reached if one.lifted_at_ms is None]
    if not held:
        lifted = ", ".join(one.function for one in reached[:_MOST_NAMED])
        told = f"none holds anybody up; lifted: {lifted}" if lifted else "none is reached"
        return facts.Fact("budgets", facts.Severity.OK, told)
    named = ", ".join(_named(one, now_ms) for one in held[:_MOST_NAMED])
    more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
    hint = "`faas budget ls` shows them, `faas budget lift NAME` lets one run on"
    return facts.Fact("budgets", facts.Severity.WARNING, f"reached: {named}{more}", hint)


def _named(one: budgets.Reached, now_ms: int) -> str:
    stopped = ", stopped" if one.stops(now_ms) else ""
    return f"{one.function} ({billing.decimal(one.amount_pico)} a {one.per}{stopped})"
