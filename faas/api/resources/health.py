"""The facts about the platform: ``/api/v1/health``."""

from __future__ import annotations

import msgspec
from aiohttp import web

from faas.api import answers, schemas, state
from faas.health import facts


class HealthQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``thorough`` also counts what waits one by one and reads the whole ledger, which may take long."""

    thorough: bool = False


async def platform_health(request: web.Request) -> web.Response:
    """Establish the facts. 200 also when something failed: ``ok`` says so."""
    asked = answers.query(request, HealthQuery)
    found = await request.app[state.LOOKS].look(thorough=asked.thorough)
    return answers.json(schemas.status.Facts(ok=facts.all_is_well(found), facts=found))
