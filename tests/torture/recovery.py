"""How long after a fault everything works again, seen by a client.

Everything: all processes are there, calls over fresh connections are answered by whichever node takes them, and an
async call is accepted, runs, and is in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import aiohttp

from tests.torture import facts, load, stage

GIVES_UP_S = 60.0
_CALLS = 4
_STEP_S = 0.02
_PATIENCE_S = 5.0


class Probe:
    """Asks a stage whether everything works."""

    def __init__(self, on: stage.Stage, gateway: str, told: load.Promises) -> None:
        self._stage, self._gateway, self._told = on, gateway, told

    async def recovered_s(self, began: float) -> float:
        """Seconds from then (monotonic) until everything works; `GIVES_UP_S` when it does not by then."""
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while time.monotonic() - began < GIVES_UP_S:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                    if await self._works(session, began + GIVES_UP_S):
                        break
                await asyncio.sleep(_STEP_S)
        return time.monotonic() - began

    async def _works(self, session: aiohttp.ClientSession, until: float) -> bool:
        await asyncio.to_thread(self._keep_beside)
        if set(self._stage.processes()) < stage.ALL:
            return False
        for _ in range(_CALLS):
            if not await self._is_answered(session):
                return False
        return await self._runs(session, until)

    def _keep_beside(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: its log cannot be opened
            self._stage.keep_beside()

    async def _is_answered(self, session: aiohttp.ClientSession) -> bool:
        async with session.post(f"{self._gateway}/fn/probed", data="probe") as answer:
            if answer.status == 200:
                self._told.answered[answer.headers["Faas-Invocation-Id"]] = 200
            return answer.status == 200

    async def _runs(self, session: aiohttp.ClientSession, until: float) -> bool:
        headers = {"Faas-Invocation-Type": "async"}
        async with session.post(f"{self._gateway}/fn/probed", data="probe", headers=headers) as answer:
            if answer.status != 202:
                return False
            id = json.loads(await answer.read())["invocation_id"]
        self._told.accepted.add(id)
        while time.monotonic() < until:
            if await asyncio.to_thread(facts.is_recorded, self._stage.platform.data, id):
                return True
            await asyncio.sleep(_STEP_S)
        return False
