"""Clients that send the planned work until told to stop, and note what they were promised."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator

import aiohttp

from tests.torture import plan

_ANSWER_WITHIN_S = 15
_PAUSE_S = 0.1


class Promises:
    """What clients were told: ids of 202s, statuses of sync calls that ran, keys of objects that were taken."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.answered: dict[str, int] = {}
        self.uploaded: set[str] = set()
        self.refused = 0
        self.broken = 0
        self.sent = 0


class Clients:
    """Some clients at work. A request for whose answer a fault comes in between promises nothing."""

    def __init__(self, gateway: str, api: str, token: str, jobs: Iterator[plan.Job]) -> None:
        self.promises = Promises()
        self.stop = asyncio.Event()
        self.hang_up = asyncio.Event()
        self._gateway, self._api, self._jobs = gateway, api, jobs
        self._token = {"Authorization": f"Bearer {token}"}

    async def work(self, clients: int) -> None:
        """Send until `stop` is set."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._client(session))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self.stop.is_set():
            job = next(self._jobs)
            self.promises.sent += 1
            try:
                await self._send(session, job)
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                self.promises.broken += 1
                await asyncio.sleep(_PAUSE_S)

    async def _send(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        if job.way == "upload":
            await self._upload(session, job)
            return
        body = str(job.seconds) if job.function == "slow" else str(job.number)
        request = session.post(
            f"{self._gateway}/fn/{job.function}", data=body, headers={"Faas-Invocation-Type": job.way}
        )
        if self.hang_up.is_set():
            self.hang_up.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_read(request), job.seconds / 10)
            return
        status, headers, content = await _read(request)
        id = headers.get("Faas-Invocation-Id", "")
        if status == 202:
            self.promises.accepted.add(json.loads(content)["invocation_id"])
        elif status == 200 or headers.get("Faas-Error") == "function":
            self.promises.answered[id] = status
            assert status != 200 or job.function != "echo" or content.decode() == body, f"another call's answer: {id}"
        else:
            self.promises.refused += 1
            await asyncio.sleep(_PAUSE_S)

    async def _upload(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        key = f"object-{job.number}"
        async with session.put(f"{self._api}/buckets/inbox/{key}", data=key, headers=self._token) as answer:
            if answer.status < 300:
                self.promises.uploaded.add(key)
            else:
                self.promises.refused += 1
                await asyncio.sleep(_PAUSE_S)


async def _read(request: object) -> tuple[int, dict[str, str], bytes]:
    async with request as answer:  # type: ignore[attr-defined]
        return answer.status, dict(answer.headers), await answer.read()
