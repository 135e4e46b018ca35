"""The bodies of the control API, one file a resource. Every size, duration, moment and amount has its unit in its name.

Amounts of money are exact, twice: ``cost_pico`` in whole pico-units and ``cost_decimal`` in the currency, as text.
"""

from faas.api.schemas import (
    alarms,
    attempts,
    bills,
    buckets,
    budgets,
    dead_letters,
    deployments,
    events,
    failures,
    functions,
    invocations,
    kept,
    logs,
    sessions,
    stats,
    status,
    traces,
    undelivered,
)

__all__ = [
    "alarms",
    "attempts",
    "bills",
    "buckets",
    "budgets",
    "dead_letters",
    "deployments",
    "events",
    "failures",
    "functions",
    "invocations",
    "kept",
    "logs",
    "sessions",
    "stats",
    "status",
    "traces",
    "undelivered",
]
