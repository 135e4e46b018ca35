"""A control API that really serves, and everything around it that a test of it needs: queue, store and a worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from faas import builds
from faas.api import server
from faas.cli import languages, machine, platform_dir
from faas.core import model
from faas.core import settings as settings_module
from faas.health import checks
from faas.queue import invocations
from faas.store import database, functions, ledger, undelivered
from tests import promised, samples
from tests.eventually import eventually

CONFIG = model.FunctionConfig(
    runtime="python3",
    handler="app.handler",
    timeout_ms=20_000,
    env={"QUALITY": "80"},
    buckets={"photos": model.Access.READ},
    triggers=(
        model.HttpTrigger(path="/hello/{name}", methods=("GET",)),
        model.TimerTrigger(every_ms=10_000),
        model.UploadTrigger(bucket="photos", prefix="in/", suffix=(".jpg",)),
    ),
)
GATEWAY = "http://127.0.0.1:9"


class ControlApi:
    """One served platform: ``url`` and ``token`` of its API, and the rooms behind it as the test's own."""

    def __init__(self, settings: settings_module.Settings, url: str, token: str, engine: Any) -> None:
        self.settings = settings
        self.url = url
        self.token = token
        self.functions = functions.Functions(engine)
        self.ledger = ledger.Ledger(engine)
        self.undelivered = undelivered.UndeliveredRecords(engine)
        self.session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"})

    def deploy(self, name: str = "hello", config: model.FunctionConfig = CONFIG) -> model.Revision:
        """Make a revision current without building one."""
        revision = self.functions.add_revision(name, "a" * 64, config)
        self.functions.activate([revision], [])
        return revision

    def record(self, **changes: Any) -> model.Record:
        """Put one record into the ledger."""
        made = samples.ended(**changes)
        self.ledger.commit([made])
        return made

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """The status and the JSON of one answer, which must be as the OpenAPI document says."""
        async with self.session.request(method, f"{self.url}{path}", **options) as answer:
            value = await answer.json()
            promised.hold(method, path, answer.status, value)
            return answer.status, value

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that must be 200."""
        status, value = await self.call("GET", path, params=query)
        assert status == 200, value
        return value

    @contextlib.asynccontextmanager
    async def queue(self) -> AsyncIterator[invocations.Queue]:
        """The queue as a node sees it."""
        opened = await invocations.Queue.connect(self.settings.redis.redis_url, self.settings.redis.redis_prefix)
        yield opened
        opened.close()

    async def work(self, ref: str, result: Any = None, **changes: Any) -> model.Invocation:
        """Be the worker of one call: claim it, and finish it with a result (bytes go as they are) and a record."""
        async with self.queue() as queue:
            (claim,) = await eventually(lambda: queue.claim("n1", ref, 1), within=30)
            call = claim.invocation
            record = msgspec.structs.replace(samples.record(call), **changes)
            is_bytes = isinstance(result, bytes)
            body = result if is_bytes else json.dumps(result).encode()
            reply = msgspec.msgpack.encode(model.Outcome(record=record, body=body, is_bytes=is_bytes))
            await queue.finish_claimed(claim, record, node="n1", reply=reply)
        return call


@contextlib.asynccontextmanager
async def serving(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    """Serve the control API of ``settings`` as `faas up` does: token, lock and platform.json in the data directory."""
    token = platform_dir.token(settings.data.root)
    engine = await asyncio.to_thread(database.open_database, settings.data)
    stop, urls = asyncio.Event(), asyncio.Queue[str]()
    builder = builds.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    run = server.run(
        settings,
        stop,
        lambda facts: urls.put_nowait(facts["url"]),
        builder,
        checks.CHECKS.beside(machine.BESIDE),
        lambda: machine.uses(settings.data),
    )
    task = asyncio.create_task(run, name="control-api")
    asked = asyncio.create_task(urls.get())
    await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        asked.cancel()
        await task
    api = ControlApi(settings, await asked, token.read_text().strip(), engine)
    facts = {"api": api.url, "gateway": GATEWAY, "token_file": str(token), "redis_url": settings.redis.redis_url}
    platform_dir.publish(settings.data.root, facts)
    try:
        with platform_dir.held(settings.data.root):
            yield api
    finally:
        await api.session.close()
        stop.set()
        await task
        builder.close()
        engine.dispose()
