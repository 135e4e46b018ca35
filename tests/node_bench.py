"""A runner in the test's own process: real Redis, a real catalog, sandboxes of the engine that the settings name."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from faas import artifacts, buckets
from faas.cli import languages
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import calls, invocations, records, replies
from faas.runtimes import table
from faas.store import database, functions
from runners import node as runner
from runners.engines import choose
from runners.sandbox import base, objects

Make = Callable[[settings_module.Settings, objects.Find, table.Runtimes], base.Engine]


class Bench:
    """What one platform has, and a node or more on it. Close it with `close`."""

    def __init__(
        self,
        settings: settings_module.Settings,
        queue: invocations.Queue,
        answers: replies.Replies,
        engine: sa.Engine,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.answers = answers
        self.store = functions.Functions(engine)
        self.nodes: list[runner.Node] = []
        self._database = engine
        self._closers: list[Any] = []

    @classmethod
    async def open(cls, settings: settings_module.Settings) -> Bench:
        queue = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
        answers = await replies.Replies.open(settings.redis.redis_url, settings.redis.redis_prefix)
        return cls(settings, queue, answers, await asyncio.to_thread(database.open_database, settings.data))

    async def node(
        self, runtimes: table.Runtimes | None = None, make: Make | None = None, **changes: Any
    ) -> runner.Node:
        """Start one more node; ``changes`` are settings of its own, ``runtimes`` are the platform's unless given.

        ``make`` makes its engine, unless that is the one of the settings.
        """
        settings = settings_module.changed(self.settings, **changes)
        known = buckets.Known(buckets.opener(settings.data))
        known.adopt(self.store.buckets())
        wanted = runtimes or languages.known(settings.sandboxes.base_image)
        if make:
            engine = make(settings, known.find, wanted)
        else:
            engine = await choose.choose(settings.data.root, settings.sandboxes, known.find, wanted)
        queue = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
        node = await runner.Node.start(settings, engine, queue, self.store)
        await node.adopt(self.store.catalog_version(), self.store.list_current())
        self.nodes.append(node)
        self._closers += [queue.close, engine.close]
        return node

    def function(self, source: Path, handler: str, name: str = "f", **config: Any) -> model.Revision:
        """Deploy without a build; the nodes that run are not told."""
        digest, _ = artifacts.Artifacts(self.settings.data.root).pack(source)
        given = {"runtime": "python3", "handler": handler, "memory_mb": 64, "timeout_ms": 10_000, **config}
        revision = self.store.add_revision(name, digest, model.FunctionConfig(**given))
        self.store.activate([revision], [])
        return revision

    def invocation(self, revision: model.Revision, event: object = None, *, sync: bool = True) -> model.Invocation:
        """A call as the gateway would make it."""
        return model.Invocation(
            id=ids.new_id(),
            function=revision.function,
            revision=revision.number,
            trigger="http",
            mode=model.Mode.SYNC if sync else model.Mode.ASYNC,
            event=msgspec.json.encode(event),
            accepted_at_ms=time.time_ns() // 1_000_000,
            reply_to=self.answers.address if sync else None,
        )

    def offer(self, node: runner.Node, invocation: model.Invocation) -> Offered | None:
        """Offer a sync call to a node, as the gateway does; None when it is to be enqueued."""
        caller = Offered(self, invocation)
        return caller if node.offer(invocation, caller) else None

    async def outcome(self, invocation: model.Invocation) -> model.Outcome:
        """A sync call through the queue."""
        return await calls.outcome(self.queue, self.answers, invocation, memory_limit_mb=64, within_ms=30_000)

    async def call(self, revision: model.Revision, event: object = None) -> model.Outcome:
        """A sync call through the queue."""
        return await self.outcome(self.invocation(revision, event))

    async def send(self, revision: model.Revision, event: object = None) -> str:
        """An async call; its id."""
        invocation = self.invocation(revision, event, sync=False)
        await self.queue.enqueue(invocation)
        return invocation.id

    async def counts(self, revision: model.Revision) -> model.Counts:
        """Where the revision's invocations are."""
        return (await self.queue.counts()).get(revision.ref, model.Counts())

    async def records(self, count: int) -> list[model.Record]:
        """The next ``count`` records, as a recorder would read them."""
        reader = await records.RecordsReader.open(
            self.settings.redis.redis_url, self.settings.redis.redis_prefix, "test"
        )
        found: list[model.Record] = []
        try:
            async with asyncio.timeout(20):
                while len(found) < count:
                    got = await reader.read(count, 100)
                    await reader.done(got)
                    found += got.records
        finally:
            await reader.close()
        return found

    async def close(self) -> None:
        """Drain the nodes; every invocation must be in one place then."""
        for node in self.nodes:
            await node.drain(10)
        drifts = {ref: counts.drift for ref, counts in (await self.queue.counts()).items()}
        for close in self._closers:
            closing = close()
            if closing is not None:
                await closing
        await self.answers.close()
        self.queue.close()
        self._database.dispose()
        assert not any(drifts.values()), drifts


class Offered:
    """A caller whose call a node took. Await it for the outcome; ``was_declined`` once it went through the queue."""

    def __init__(self, bench: Bench, invocation: model.Invocation) -> None:
        self.is_gone = False
        self.was_declined = False
        self._bench = bench
        self._invocation = invocation
        self._outcome: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
        self._queued: asyncio.Task[None] | None = None

    def __await__(self) -> Generator[Any, None, model.Outcome]:
        return self._outcome.__await__()

    def done(self) -> bool:
        """Whether the outcome is here."""
        return self._outcome.done()

    def answer(self, outcome: model.Outcome) -> None:
        """See `dispatch.Caller`; so for the others."""
        self._outcome.set_result(outcome)

    def fail(self, error: errors.FaasError) -> None:
        """The platform did not run it."""
        self._outcome.set_exception(error)

    def decline(self) -> None:
        """Through the queue."""
        self.was_declined = True
        self._queued = asyncio.create_task(self._enqueue())

    async def _enqueue(self) -> None:
        try:
            outcome = await self._bench.outcome(self._invocation)
        except errors.FaasError as error:
            self.fail(error)
        else:
            self.answer(outcome)


def result(outcome: model.Outcome) -> Any:
    """The handler's result; fails with the record when there is none."""
    assert outcome.record.status is model.Status.OK, outcome.record
    return json.loads(outcome.body)
