"""The typed state of the control API: what handlers find in ``request.app``."""

from __future__ import annotations

import sqlalchemy as sa
from aiohttp import web

from faas import buckets, builds
from faas.api import calls
from faas.core import settings
from faas.health import looks
from faas.store import dead_letters, functions, ledger, logs, undelivered

SETTINGS = web.AppKey("settings", settings.Settings)
FUNCTIONS = web.AppKey("functions", functions.Functions)
LEDGER = web.AppKey("ledger", ledger.Ledger)
DEAD_LETTERS = web.AppKey("dead_letters", dead_letters.DeadLetters)
UNDELIVERED = web.AppKey("undelivered", undelivered.UndeliveredRecords)
LOGS = web.AppKey("logs", logs.Logs)
ENGINE = web.AppKey("engine", sa.Engine)
CALLS = web.AppKey("calls", calls.Calls)
BUCKETS = web.AppKey("buckets", buckets.Known)
LOOKS = web.AppKey("looks", looks.Looks)
BUILDS = web.AppKey("builds", builds.Builds)
