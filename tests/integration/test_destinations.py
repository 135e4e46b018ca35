"""Records of settled invocations on their way from the outbox to functions, buckets and URLs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from faas import delivery
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.core.calls import lineage
from faas.delivery import carriers, parcels, sending, webhooks
from faas.queue import active, census, destined, invocations, outbox, secrets
from faas.store import database, functions, undelivered
from faas.valkey import embedded
from tests import receiver, samples
from tests.eventually import eventually

LEASE_MS = 600


class Stage:
    """A queue, a catalog, and functions whose invocations are settled by hand."""

    def __init__(self, settings: settings_module.Settings, queue: invocations.Queue) -> None:
        self.settings = settings
        self.queue = queue
        engine = database.open_database(settings.data)
        self.store = functions.Functions(engine)
        self.given_up = undelivered.UndeliveredRecords(engine)

    def deploy(self, name: str = "source", **config: Any) -> model.Revision:
        given = {"runtime": "python3", "handler": "app.handler", "env": {"KEY": receiver.SECRET}, **config}
        revision = self.store.add_revision(name, "0" * 64, model.FunctionConfig(**given))
        self.store.activate([revision], [model.Bucket(name="records")])
        return revision

    async def settle(self, revision: model.Revision, *, ok: bool = True, event: object = None, depth: int = 0) -> str:
        """Let an async invocation end, well or for good; its id."""
        invocation = model.Invocation(
            id=ids.new_id(),
            function=revision.function,
            revision=revision.number,
            trigger="invoke",
            mode=model.Mode.ASYNC,
            event=msgspec.json.encode(event),
            accepted_at_ms=1,
            depth=depth,
        )
        await self.queue.enqueue(invocation)
        (claim,) = await self.queue.claim("n", revision.ref, 1)
        record = samples.record(invocation, model.Status.OK if ok else model.Status.ERROR, dead=not ok)
        if not ok:
            record = msgspec.structs.replace(record, error=model.Failure("Boom", "it broke", ("line 1",)))
        condition = model.Condition.SUCCESS if ok else model.Condition.RETRIES_EXHAUSTED
        settled = destined.settled(record, condition, b'{"answer": 42}')
        await self.queue.finish_claimed(claim, record, node="n", settled=settled)
        return invocation.id

    @contextlib.asynccontextmanager
    async def scheduler(self, **changes: Any) -> AsyncIterator[None]:
        """One scheduler's part that delivers."""
        stop = asyncio.Event()
        config = self._quick(**changes)
        running = asyncio.create_task(
            delivery.run(config, self.queue, self.store, self.given_up, stop), name="destinations"
        )
        yield
        stop.set()
        await running

    async def waits(self) -> int:
        """How many records are in outboxes."""
        return sum((await outbox.lengths(self.queue)).values())

    async def is_empty(self) -> bool:
        return await self.waits() == 0

    async def was_tried(self, times: int) -> bool:
        """Whether the only record was taken so often."""
        (box,) = await outbox.lengths(self.queue)
        stream = self.queue.keys.outbox(box.ref, box.way)
        try:
            held = await self.queue.link.call("XPENDING", stream, "destinations", "-", "+", 1)
        except errors.Unavailable:  # nobody has looked yet, so there is no group
            return False
        return bool(held) and int(held[0][3]) >= times

    def environ(self) -> dict[str, str]:
        """The environment of a process of this platform."""
        return settings_module.to_environ(self._quick())

    def _quick(self, **changes: Any) -> settings_module.Settings:
        quick = {
            "destination_backoff_ms": 20,
            "destination_timeout_ms": 2_000,
            "heartbeat_ms": 100,
            "lease_ms": LEASE_MS,
            **changes,
        }
        return settings_module.changed(self.settings, **quick)


@pytest.fixture
async def stage(settings: settings_module.Settings) -> AsyncIterator[Stage]:
    queue = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    opened = Stage(settings, queue)
    yield opened
    drifts = {ref: counts.drift for ref, counts in (await queue.counts()).items()}
    assert not any(drifts.values()), drifts
    assert (await census.held(queue)).is_right, await census.held(queue)
    queue.close()


async def claimed(stage: Stage, ref: str, most: int = 100) -> list[model.Invocation]:
    return [claim.invocation for claim in await stage.queue.claim("n", ref, most)]


async def test_what_goes_well_arrives_at_a_function_in_the_shape_of_lambdas_record(stage: Stage) -> None:
    source = stage.deploy(on_success=model.ToFunction(function="after"))
    after = stage.deploy("after")
    name = await stage.settle(source, event={"n": 1})
    async with stage.scheduler():
        await eventually(stage.is_empty)
    (arrived,) = await claimed(stage, after.ref)
    assert json.loads(arrived.event) == {
        "version": "1.0",
        "timestamp": "1970-01-01T00:00:00.003Z",
        "requestContext": {
            "requestId": name,
            "functionArn": "arn:aws:lambda:local:000000000000:function:source:1",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "1"},
        "responsePayload": {"answer": 42},
    }
    assert (arrived.parent_id, arrived.root_id, arrived.depth, arrived.trigger) == (name, name, 1, "destination")


async def test_what_fails_for_good_says_why_and_what_has_no_destination_goes_nowhere(stage: Stage) -> None:
    source = stage.deploy(on_failure=model.ToFunction(function="after"))
    after = stage.deploy("after")
    await stage.settle(source)
    name = await stage.settle(source, ok=False)
    async with stage.scheduler():
        await eventually(stage.is_empty)
    (arrived,) = await claimed(stage, after.ref)
    record = json.loads(arrived.event)
    assert record["requestContext"]["requestId"] == name
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"] == {"errorMessage": "it broke", "errorType": "Boom", "stackTrace": ["line 1"]}


async def test_a_record_that_many_schedulers_deliver_at_once_runs_once(stage: Stage) -> None:
    source, after = stage.deploy(on_success=model.ToFunction(function="after")), stage.deploy("after")
    await stage.settle(source)
    (box,) = await outbox.lengths(stage.queue)
    taken = [*await outbox.take(stage.queue, box, "one", 9, 0), *await outbox.take(stage.queue, box, "two", 9, 0)]
    assert len(taken) == 2
    made = [carriers.invocation_of(parcels.of_record(entry, {}, "local"), after, 1) for entry in taken]
    assert made[0].id == made[1].id
    moved = [
        await outbox.pass_on(stage.queue, entry, to, most_waiting=10) for entry, to in zip(taken, made, strict=True)
    ]
    assert moved == [True, False]
    assert len(await claimed(stage, after.ref)) == 1


async def test_what_a_scheduler_took_that_has_gone_is_delivered_by_another(stage: Stage) -> None:
    source, after = stage.deploy(on_success=model.ToFunction(function="after")), stage.deploy("after")
    await stage.settle(source)
    (box,) = await outbox.lengths(stage.queue)
    (entry,) = await outbox.take(stage.queue, box, "gone", 1, 60_000)
    assert await outbox.take(stage.queue, box, "other", 1, 60_000) == []
    async with stage.scheduler():
        await eventually(stage.is_empty)
    assert len(await claimed(stage, after.ref)) == 1
    assert await outbox.again(stage.queue, box, "gone", entry.id) is None


async def test_what_a_scheduler_took_that_has_gone_is_not_hidden_behind_what_others_hold(stage: Stage) -> None:
    source = stage.deploy(on_success=model.ToFunction(function="after"))
    for _ in range(125):
        await stage.settle(source)
    (box,) = await outbox.lengths(stage.queue)
    held = [entry.id for entry in await outbox.take(stage.queue, box, "lives", 120, 60_000)]
    left = [entry.id for entry in await outbox.take(stage.queue, box, "gone", 3, 60_000)]
    await outbox.let_go(stage.queue, box, "gone", left)
    assert await outbox.keep(stage.queue, box, "lives", held) == 120
    taken = await outbox.take(stage.queue, box, "other", sending.AT_ONCE, 60_000)
    assert [(entry.id, entry.attempt) for entry in taken[:3]] == [(name, 2) for name in left]
    assert [entry.attempt for entry in taken[3:]] == [1, 1]
    assert await outbox.keep(stage.queue, box, "lives", held) == 120


async def test_what_a_scheduler_still_has_is_nobody_elses_however_long_it_takes(stage: Stage) -> None:
    async with receiver.receiving() as slow:
        slow.hold = asyncio.Event()
        source = stage.deploy(on_success=model.ToUrl(url=slow.url, secret="KEY"))
        for _ in range(sending.AT_ONCE):
            await stage.settle(source)
        async with stage.scheduler(destination_timeout_ms=60_000):
            await eventually(lambda: len(slow.received) == sending.AT_ONCE)
            (box,) = await outbox.lengths(stage.queue)
            until = time.monotonic() + 3 * LEASE_MS / 1000
            while time.monotonic() < until:
                assert await outbox.take(stage.queue, box, "other", 9, LEASE_MS) == []
            slow.hold.set()
            await eventually(stage.is_empty)
        assert len(slow.received) == sending.AT_ONCE


async def test_a_bucket_gets_an_object_that_knows_its_chain(stage: Stage) -> None:
    source = stage.deploy(on_failure=model.ToBucket(bucket="records", prefix="failed/"))
    name = await stage.settle(source, ok=False, depth=3)
    async with stage.scheduler():
        await eventually(stage.is_empty)
    file = stage.settings.data.root / "buckets" / "records" / "failed" / "source" / f"{name}.json"
    assert json.loads(file.read_bytes())["requestContext"]["requestId"] == name
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


_ON_A_FULL_DISK = """
mount -t tmpfs -o size=256k none {bucket}
head -c 1000000 /dev/zero > {bucket}/filler 2> /dev/null
{python} -m faas.cli.main scheduler &
read -r _ && rm {bucket}/filler
read -r _ && cat {bucket}/source/*.json
kill -9 $! && wait $!
"""


async def test_a_bucket_whose_disk_is_full_is_tried_until_there_is_room(stage: Stage) -> None:
    source = stage.deploy(on_success=model.ToBucket(bucket="records"))
    bucket = stage.settings.data.root / "buckets" / "records"
    bucket.mkdir(parents=True)
    name = await stage.settle(source)
    script = _ON_A_FULL_DISK.format(bucket=bucket, python=sys.executable)
    inside = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script,
        env=stage.environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert inside.stdin is not None
    try:
        await eventually(lambda: stage.was_tried(2), within=30)
        inside.stdin.write(b"make room\n")
        await eventually(stage.is_empty, within=30)
        inside.stdin.write(b"show\n")
    finally:
        out, _ = await inside.communicate()
    assert json.loads(out)["requestContext"]["requestId"] == name
    assert stage.given_up.find(None, 9) == []


@contextlib.asynccontextmanager
async def a_process(stage: Stage) -> AsyncIterator[asyncio.subprocess.Process]:
    """A scheduler as `faas up` starts it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "faas.cli.main", "scheduler",
        env=stage.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def test_a_scheduler_killed_between_delivery_and_ack_is_followed_by_one_that_sends_the_same_id(
    stage: Stage,
) -> None:
    async with receiver.receiving() as hook:
        hook.hold = asyncio.Event()
        name = await stage.settle(stage.deploy(on_success=model.ToUrl(url=hook.url, secret="KEY")))
        async with a_process(stage) as first:
            await eventually(lambda: hook.received, within=30)
            first.kill()
            await first.wait()
        hook.hold.set()
        async with a_process(stage):
            await eventually(stage.is_empty, within=30)
    assert len(hook.received) == 2
    assert {one.headers["Faas-Invocation-Id"] for one in hook.received} == {name}
    assert len({one.headers["Faas-Delivery-Id"] for one in hook.received}) == 1
    (mark,) = {one.headers["Faas-Chain"] for one in hook.received}
    chain = lineage.read(await secrets.chain(stage.queue), mark)
    assert chain is not None
    assert (chain.depth, chain.parent_id, chain.root_id) == (1, name, name)


async def test_schedulers_killed_at_any_moment_run_each_record_of_a_function_once(stage: Stage) -> None:
    source, after = stage.deploy(on_success=model.ToFunction(function="after")), stage.deploy("after")
    names: set[str] = set()
    for killed in range(3):
        names |= {await stage.settle(source) for _ in range(40)}
        async with a_process(stage) as process:
            await eventually(lambda killed=killed: _accepted(stage, after.ref, 40 * killed + 5), within=30)
            process.kill()
    async with a_process(stage), a_process(stage):
        await eventually(stage.is_empty, within=30)
    arrived = [json.loads(one.event)["requestContext"]["requestId"] for one in await claimed(stage, after.ref, 200)]
    assert sorted(arrived) == sorted(names)


async def _accepted(stage: Stage, ref: str, least: int) -> bool:
    counts = (await stage.queue.counts()).get(ref, model.Counts())
    return counts.accepted >= least


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (model.ToFunction(function="nobody"), "no function is called nobody"),
        (model.ToBucket(bucket="nowhere"), "there is no bucket nowhere"),
        (model.ToBucket(bucket="records", prefix="../"), "bad object key"),
        (model.ToUrl(url="http://127.0.0.1:1/", secret="NO_SUCH_KEY"), "nothing to sign it with"),
        (model.ToUrl(url="ftp://example.com/", secret="KEY"), "no URL that can be sent to"),
    ],
)
async def test_what_can_never_be_delivered_is_kept_where_people_find_it(
    stage: Stage, to: model.Destination, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = await stage.settle(stage.deploy(on_success=to))
    async with stage.scheduler():
        await eventually(stage.is_empty)
    (kept,) = stage.given_up.find("source", 9)
    assert (kept.invocation_id, kept.attempts) == (name, 1)
    assert why in kept.reason
    assert "record_undelivered" in caplog.messages


async def test_a_receiver_that_fails_twice_gets_it_a_third_time_with_the_same_id_and_longer_waits(
    stage: Stage,
) -> None:
    async with receiver.receiving(lambda number: 500 if number < 3 else 200) as hook:
        source = stage.deploy(on_success=model.ToUrl(url=hook.url, secret="KEY"))
        name = await stage.settle(source)
        async with stage.scheduler(destination_backoff_ms=200):
            await eventually(stage.is_empty)
    first, second, third = hook.received
    assert hook.unsigned == 0
    assert len({one.headers["Faas-Delivery-Id"] for one in hook.received}) == 1
    assert {one.headers["Faas-Invocation-Id"] for one in hook.received} == {name}
    assert [one.headers["Faas-Delivery-Attempt"] for one in hook.received] == ["1", "2", "3"]
    assert second.at - first.at >= 0.1
    assert third.at - second.at >= 0.2
    assert first.record == third.record
    assert stage.given_up.find(None, 9) == []


async def test_a_receiver_that_says_when_is_left_alone_until_then(stage: Stage) -> None:
    def answer(number: int) -> int | web.Response:
        return web.Response(status=429, headers={"Retry-After": "1"}) if number == 1 else 204

    async with receiver.receiving(answer) as hook:
        await stage.settle(stage.deploy(on_success=model.ToUrl(url=hook.url, secret="KEY")))
        async with stage.scheduler():
            await eventually(stage.is_empty)
    first, second = hook.received
    assert second.at - first.at >= 1


@pytest.mark.parametrize("status", [302, 404])
async def test_a_redirect_is_not_followed_and_a_refusal_is_not_asked_again(stage: Stage, status: int) -> None:
    async with receiver.receiving() as elsewhere:
        headers = {"Location": elsewhere.url}
        async with receiver.receiving(lambda _: web.Response(status=status, headers=headers)) as hook:
            await stage.settle(stage.deploy(on_success=model.ToUrl(url=hook.url, secret="KEY")))
            async with stage.scheduler():
                await eventually(stage.is_empty)
    assert (len(hook.received), elsewhere.received) == (1, [])
    (kept,) = stage.given_up.find(None, 9)
    assert str(status) in kept.reason


async def test_a_receiver_that_is_away_is_given_up_after_the_set_number_of_attempts(stage: Stage) -> None:
    await stage.settle(stage.deploy(on_success=model.ToUrl(url="http://127.0.0.1:1/hook", secret="KEY")))
    async with stage.scheduler(destination_max_attempts=3):
        await eventually(stage.is_empty)
    (kept,) = stage.given_up.find(None, 9)
    assert (kept.attempts, kept.destination) == (3, "http://127.0.0.1:1/…")


async def test_what_is_too_old_is_given_up(stage: Stage) -> None:
    await stage.settle(stage.deploy(on_success=model.ToUrl(url="http://127.0.0.1:1/hook", secret="KEY")))
    async with stage.scheduler(destination_max_age_ms=200):
        await eventually(stage.is_empty)
    (kept,) = stage.given_up.find(None, 9)
    assert kept.attempts > 1


async def test_a_receiver_that_never_answers_holds_up_no_other_destination(stage: Stage) -> None:
    async with receiver.receiving() as slow, receiver.receiving() as hook:
        slow.hold = asyncio.Event()
        stuck = stage.deploy("stuck", on_success=model.ToUrl(url=slow.url, secret="KEY"))
        quick = stage.deploy("quick", on_success=model.ToUrl(url=hook.url, secret="KEY"))
        for _ in range(3 * sending.AT_ONCE):
            await stage.settle(stuck)
        async with stage.scheduler(destination_timeout_ms=60_000):
            await eventually(lambda: len(slow.received) == sending.AT_ONCE)
            names = {await stage.settle(quick) for _ in range(3 * sending.AT_ONCE)}
            await eventually(lambda: {one.headers["Faas-Invocation-Id"] for one in hook.received} == names)
            assert len(slow.received) == sending.AT_ONCE
            slow.hold.set()
            await eventually(stage.is_empty)


async def test_an_answer_without_end_is_not_read(stage: Stage) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async with receiver.receiving(lambda _: web.Response(status=200, body=endless())) as hook:
        await stage.settle(stage.deploy(on_success=model.ToUrl(url=hook.url, secret="KEY")))
        async with stage.scheduler():
            await eventually(stage.is_empty)
    assert len(hook.received) == 1


async def test_a_chain_of_functions_that_feed_one_another_stops_at_sixteen_links(stage: Stage) -> None:
    stage.deploy("ping", on_success=model.ToFunction(function="pong"), on_failure=model.ToFunction(function="pong"))
    stage.deploy("pong", on_success=model.ToFunction(function="ping"), on_failure=model.ToFunction(function="ping"))
    root = await stage.settle(stage.store.current("ping"))  # type: ignore[arg-type]
    depths = []
    async with stage.scheduler():
        for number in range(16):
            ref = "pong@1" if number % 2 == 0 else "ping@1"
            claim = (await eventually(lambda ref=ref: stage.queue.claim("n", ref, 1)))[0]
            depths.append(claim.invocation.depth)
            assert claim.invocation.root_id == root
            record = samples.record(claim.invocation)
            settled = destined.settled(record, model.Condition.SUCCESS)
            await stage.queue.finish_claimed(claim, record, node="n", settled=settled)
        await eventually(stage.is_empty)
    assert depths == list(range(1, 17))
    counts = await stage.queue.counts()
    # The seventeenth link is refused, and its failure is told; what follows from that is refused and told nobody.
    assert [counts[ref].dead for ref in ("ping@1", "pong@1")] == [1, 1]
    assert not any(counts[ref].waiting for ref in ("ping@1", "pong@1"))


async def test_a_queue_that_is_full_is_waited_for(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    source, after = stage.deploy(on_success=model.ToFunction(function="after")), stage.deploy("after")
    for _ in range(3):
        await stage.settle(source)
    async with stage.scheduler(max_waiting_async=1):
        await eventually(lambda: "record_not_delivered_yet" in caplog.messages)
        assert (await stage.queue.counts())[after.ref].waiting == 1
        assert await active.waiting(stage.queue) == [after.ref], "nodes look for what came by an outbox"
        assert await stage.waits() == 2
        for _ in range(3):
            (claim,) = await eventually(lambda: stage.queue.claim("n", after.ref, 1))
            await stage.queue.finish_claimed(claim, samples.record(claim.invocation), node="n")
        await eventually(stage.is_empty)


async def test_a_scheduler_that_stops_leaves_what_it_has_to_the_next_at_once(stage: Stage) -> None:
    async with receiver.receiving() as slow:
        slow.hold = asyncio.Event()
        await stage.settle(stage.deploy(on_success=model.ToUrl(url=slow.url, secret="KEY")))
        async with stage.scheduler(destination_timeout_ms=60_000):
            await eventually(lambda: slow.received)
        (box,) = await outbox.lengths(stage.queue)
        (entry,) = await outbox.take(stage.queue, box, "next", 1, 600_000)
        assert entry.attempt == 2
        await outbox.put_away(stage.queue, entry)


async def test_a_record_that_cannot_be_read_is_set_aside_and_the_next_is_delivered(stage: Stage) -> None:
    source, after = stage.deploy(on_success=model.ToFunction(function="after")), stage.deploy("after")
    keys = stage.queue.keys
    await stage.queue.link.call("XADD", keys.outbox(source.ref, "success"), "*", "s", b"\xff", "i", b"x")
    await stage.queue.link.call("HINCRBY", keys.held, "entries", 1)
    await stage.queue.link.call("HINCRBY", keys.held, "bytes", 2)
    await stage.settle(source)
    async with stage.scheduler():
        await eventually(stage.is_empty)
    assert len(await claimed(stage, after.ref)) == 1
    assert await stage.queue.link.call("XLEN", keys.unreadable) == 1


async def test_records_leave_a_redis_whose_memory_is_full(settings: settings_module.Settings, tmp_path: Path) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis")
    own = settings_module.changed(settings, redis_url=await server.start())
    queue = await invocations.Queue.connect(own.redis.redis_url, own.redis.redis_prefix)
    stage = Stage(own, queue)
    to_bucket = stage.deploy("other", on_success=model.ToBucket(bucket="records"))
    await stage.settle(to_bucket)
    await stage.settle(stage.deploy(on_success=model.ToFunction(function="after")))
    after = stage.deploy("after")
    await queue.link.call("CONFIG", "SET", "maxmemory", 1)
    async with stage.scheduler():
        await eventually(stage.is_empty)
    await queue.link.call("CONFIG", "SET", "maxmemory", 0)
    assert len(await claimed(stage, after.ref)) == 1
    assert (await census.held(queue)).is_right
    queue.close()
    await server.stop()


async def test_an_outbox_that_is_empty_leaves_no_key(stage: Stage) -> None:
    source = stage.deploy(on_success=model.ToBucket(bucket="records"))
    await stage.settle(source)
    async with stage.scheduler():
        await eventually(stage.is_empty)
    assert await stage.queue.link.call("KEYS", f"{stage.queue.keys.prefix}:outbox*") == []


def test_what_is_signed_cannot_be_changed_or_sent_later() -> None:
    now_s = int(time.time())
    signed = webhooks.signature("s", now_s, b"{}")
    assert receiver.is_genuine(signed, b"{}", "s")
    assert not receiver.is_genuine(signed, b"{ }", "s")
    assert not receiver.is_genuine(signed, b"{}", "another")
    assert not receiver.is_genuine(signed.replace(str(now_s), str(now_s + 1)), b"{}", "s")
    assert not receiver.is_genuine(webhooks.signature("s", now_s - 600, b"{}"), b"{}", "s")


def test_what_answers_mean() -> None:
    judged = webhooks.judged
    assert judged(204, None, 0) == webhooks.DELIVERED
    assert [judged(status, None, 0).verdict for status in (301, 400, 401, 404, 410)] == [webhooks.Verdict.NEVER] * 5
    assert [judged(status, None, 0).verdict for status in (408, 425, 429, 500, 503)] == [webhooks.Verdict.LATER] * 5
    assert judged(503, "7", 0).after_ms == 7_000
    assert judged(503, "Thu, 01 Jan 1970 00:01:00 GMT", 10).after_ms == 50_000
    assert judged(503, "soon", 0).after_ms == judged(503, "-5", 0).after_ms == 0
    assert judged(503, "9" * 40, 0).after_ms == webhooks.LONGEST_WAIT_MS
