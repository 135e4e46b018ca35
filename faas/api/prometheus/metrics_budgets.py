"""The part of /metrics that is about budgets: how many stand how, and what is spent of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from prometheus_client import core

from faas.api import schemas

_PICO = 10**12
_STATES = ("under", "reached", "stopped", "lifted")


class Gauged(msgspec.Struct, frozen=True):
    """All budgets by their state, and those that are shown one by one."""

    states: Mapping[str, int] = {}
    shown: Sequence[schemas.budgets.BudgetState] = ()


def families(seen: Gauged) -> Iterator[core.Metric]:
    """Counts, amounts and what is spent; amounts in units of the currency."""
    states = core.GaugeMetricFamily("faas_budgets", "Budgets, by how they stand.", labels=["state"])
    for name in _STATES:
        states.add_metric([name], seen.states.get(name, 0))
    amount = core.GaugeMetricFamily(
        "faas_budget_amount", "What may be spent in a period, in the currency.", labels=["function", "per"]
    )
    spent = core.GaugeMetricFamily(
        "faas_budget_spent", "What is spent of it in the period of now, in the currency.", labels=["function", "per"]
    )
    for each in seen.shown:
        amount.add_metric([each.function, each.per], each.amount_pico / _PICO)
        spent.add_metric([each.function, each.per], each.spent_pico / _PICO)
    yield from (states, amount, spent)
