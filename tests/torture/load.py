"""Clients that send the planned work until told to stop, and note what they were promised."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping

import aiohttp
import msgspec

from tests.torture import plan

_ANSWER_WITHIN_S = 25
_PAUSE_S = 0.1
_ID = "Faas-Invocation-Id"


class Promises:
    """What clients were told.

    ``accepted`` are ids of 202s, ``cancelled`` those of them that were taken back, ``answered`` the statuses of sync
    calls that ran, ``uploaded`` the keys of objects that were taken, ``wrong`` what no client may ever be told.
    """

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.cancelled: set[str] = set()
        self.answered: dict[str, int] = {}
        self.uploaded: set[str] = set()
        self.wrong: list[tuple[str, str]] = []
        self.sent = 0
        self.refused = 0
        self.broken = 0
        self.hung_up = 0


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Clients:
    """Some clients at work. A request for whose answer a fault comes in between promises nothing."""

    def __init__(self, gateway: str, api: str, token: str, jobs: Iterator[plan.Job]) -> None:
        self.promises = Promises()
        self.stop = asyncio.Event()
        self._gateway, self._api, self._jobs = gateway, api, jobs
        self._token = {"Authorization": f"Bearer {token}"}
        self._ways = {
            "sync": self._sync,
            "async": self._async,
            "keyed": self._keyed,
            "delayed": self._delayed,
            "cancelled": self._cancelled,
            "batch": self._batch,
            "hang up": self._hang_up,
            "upload": self._upload,
        }

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
                await self._ways[job.way](session, job)
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                self.promises.broken += 1
                await asyncio.sleep(_PAUSE_S)

    async def _call(self, session: aiohttp.ClientSession, job: plan.Job, headers: Mapping[str, str]) -> Answer:
        return await _answer(session.post(f"{self._gateway}/fn/{job.function}", data=_body(job), headers=dict(headers)))

    async def _sync(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        answer = await self._call(session, job, {})
        if answer.status != 200 and answer.headers.get("Faas-Error") != "function":
            await self._refused()
            return
        self.promises.answered[answer.headers[_ID]] = answer.status
        if job.function == "echo" and answer.status == 200 and answer.body.decode() != _body(job):
            self.promises.wrong.append(("another call's answer", answer.headers[_ID]))

    async def _async(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        await self._accepted(await self._call(session, job, {"Faas-Invocation-Type": "async"}))

    async def _delayed(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        await self._accepted(await self._call(session, job, {"Faas-Delay": f"{1 + int(job.seconds * 9)}s"}))

    async def _keyed(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        """The same call twice at once, with one idempotency key."""
        headers = {"Faas-Invocation-Type": "async", "Idempotency-Key": f"key-{job.number}"}
        both = await asyncio.gather(
            self._call(session, job, headers), self._call(session, job, headers), return_exceptions=True
        )
        ids = {
            id
            for answer in both
            if isinstance(answer, Answer)
            for id in [await self._accepted(answer)]
            if id is not None
        }
        if len(ids) > 1:
            self.promises.wrong += [("one idempotency key, two invocations", id) for id in sorted(ids)]

    async def _cancelled(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        id = await self._accepted(await self._call(session, job, {"Faas-Delay": "20s"}))
        if id is None:
            return
        answer = await _answer(session.post(f"{self._api}/api/v1/invocations/{id}/cancel", headers=self._token))
        if answer.status == 200:
            self.promises.cancelled.add(id)

    async def _batch(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        events = [{"body": f"{job.number}/{place}"} for place in range(plan.BATCH)]
        url = f"{self._api}/api/v1/functions/{job.function}/invocations:batch"
        answer = await _answer(session.post(url, json=events, headers=self._token))
        if answer.status != 202:
            await self._refused()
            return
        taken = {one["invocation_id"] for one in json.loads(answer.body)["results"] if one["status"] == "accepted"}
        self.promises.accepted |= taken
        self.promises.refused += plan.BATCH - len(taken)

    async def _hang_up(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        self.promises.hung_up += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._call(session, job, {}), job.seconds / 10)

    async def _upload(self, session: aiohttp.ClientSession, job: plan.Job) -> None:
        key = f"object-{job.number}"
        answer = await _answer(session.put(f"{self._api}/buckets/inbox/{key}", data=key, headers=self._token))
        if answer.status < 300:
            self.promises.uploaded.add(key)
        else:
            await self._refused()

    async def _accepted(self, answer: Answer) -> str | None:
        """Note the id of a 202, and return it."""
        if answer.status != 202:
            await self._refused()
            return None
        id: str = json.loads(answer.body)["invocation_id"]
        self.promises.accepted.add(id)
        return id

    async def _refused(self) -> None:
        self.promises.refused += 1
        await asyncio.sleep(_PAUSE_S)


def _body(job: plan.Job) -> str:
    return str(job.seconds) if job.function == "slow" else str(job.number)


async def _answer(request: object) -> Answer:
    async with request as answer:  # type: ignore[attr-defined]
        return Answer(answer.status, dict(answer.headers), await answer.read())
