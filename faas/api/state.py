"""The typed state of the control API: what handlers find in ``request.app``."""

from __future__ import annotations

import sqlalchemy as sa
from aiohttp import web

from faas import buckets, builds
from faas.api import calls
from faas.core import groups, model
from faas.health import looks
from faas.store import (
    alarms,
    budgets,
    chains,
    counters,
    dead_letters,
    functions,
    keep_rules,
    ledger,
    logs,
    rollups,
    undelivered,
)

DATA = web.AppKey("data", groups.Data)
REDIS = web.AppKey("redis", groups.Redis)
QUEUES = web.AppKey("queues", groups.Queues)
RESULTS = web.AppKey("results", groups.Results)
SANDBOXES = web.AppKey("sandboxes", groups.Sandboxes)
BUILDING = web.AppKey("building", groups.Building)
PRICES = web.AppKey("prices", groups.Prices)
RETENTION = web.AppKey("retention", groups.Retention)
KEEP_RULES = web.AppKey("keep_rules", keep_rules.KeepRules)
TELEMETRY = web.AppKey("telemetry", groups.Telemetry)
FUNCTIONS = web.AppKey("functions", functions.Functions)
ROLLUPS = web.AppKey("rollups", rollups.Rollups)
LEDGER = web.AppKey("ledger", ledger.Ledger)
DEAD_LETTERS = web.AppKey("dead_letters", dead_letters.DeadLetters)
UNDELIVERED = web.AppKey("undelivered", undelivered.UndeliveredRecords)
COUNTERS = web.AppKey("counters", counters.Counters)
CHAINS = web.AppKey("chains", chains.Chains)
LOGS = web.AppKey("logs", logs.Logs)
ALARMS = web.AppKey("alarms", alarms.Alarms)
ENGINE = web.AppKey("engine", sa.Engine)
CALLS = web.AppKey("calls", calls.Calls)
BUCKETS = web.AppKey("buckets", buckets.Known)
LOOKS = web.AppKey("looks", looks.Looks)
BUILDS = web.AppKey("builds", builds.Builds)
BUDGETS = web.AppKey("budgets", budgets.ReachedBudgets)
BUDGET_OF_ALL = web.AppKey[model.CostBudget | None]("budget_of_all")
