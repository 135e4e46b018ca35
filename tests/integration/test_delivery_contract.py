"""What holds of every kind of destination, and of records and messages alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import msgspec
import pytest

from faas import delivery
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.delivery import courier, webhooks
from faas.queue import census, destined, inlet, invocations, outbox
from faas.store import database, functions, undelivered
from tests import receiver, samples
from tests.eventually import eventually

_QUICK = {"destination_backoff_ms": 20, "destination_timeout_ms": 2_000, "heartbeat_ms": 100, "lease_ms": 600}


class Post:
    """A platform's outboxes and all that destinations are made of."""

    def __init__(self, settings: settings_module.Settings, queue: invocations.Queue) -> None:
        self.settings = settings_module.changed(settings, destination_secret=receiver.SECRET, **_QUICK)
        self.queue = queue
        self.engine = database.open_database(settings.data)
        self.store = functions.Functions(self.engine)
        self.given_up = undelivered.UndeliveredRecords(self.engine)

    def deploy(self, name: str, **config: Any) -> model.Revision:
        revision = self.store.add_revision(
            name, "0" * 64, model.FunctionConfig(runtime="python3", handler="app.handler", **config)
        )
        self.store.activate([revision], [model.Bucket(name="records")])
        return revision

    @contextlib.asynccontextmanager
    async def scheduler(self, **changes: Any) -> AsyncIterator[None]:
        stop = asyncio.Event()
        config = settings_module.changed(self.settings, **changes)
        running = asyncio.create_task(delivery.run(config, self.queue, self.store, self.given_up, stop))
        try:
            yield
        finally:
            stop.set()
            await running

    @contextlib.asynccontextmanager
    async def courier(self) -> AsyncIterator[courier.Courier]:
        async with webhooks.session(2_000) as client:
            yield courier.Courier(self.settings, inlet.Inlet(self.queue), self.store, client)

    async def taken(self) -> outbox.Taken:
        """What waits, taken by a scheduler of the test's own."""
        (box,) = await outbox.lengths(self.queue)
        (taken,) = await outbox.take(self.queue, box, "test", 1, 0)
        return taken

    async def is_empty(self) -> bool:
        return await outbox.lengths(self.queue) == {}


@pytest.fixture
async def post(settings: settings_module.Settings) -> AsyncIterator[Post]:
    queue = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    opened = Post(settings, queue)
    yield opened
    assert (await census.held(queue)).is_right
    queue.close()
    opened.engine.dispose()


class Kind(Protocol):
    """A kind of destination, and what arrived there."""

    to: model.Destination
    missing: model.Destination
    """One of its kind that is not there, and never will be."""

    async def arrived(self) -> list[Any]:
        """What arrived, without what arrived twice under one name."""

    def away(self) -> contextlib.AbstractContextManager[None]:
        """For now nothing arrives there."""


class Function:
    to = model.ToFunction(function="after")
    missing = model.ToFunction(function="nobody")

    def __init__(self, post: Post, _: receiver.Receiver) -> None:
        self._post = post
        self._ref = post.deploy("after").ref
        self._found: list[Any] = []

    async def arrived(self) -> list[Any]:
        for claim in await self._post.queue.claim("n", self._ref, 100):
            assert claim.invocation.trigger == "destination"
            self._found.append(json.loads(claim.invocation.event))
            await self._post.queue.finish_claimed(claim, samples.record(claim.invocation), node="n")
        return self._found

    @contextlib.contextmanager
    def away(self) -> Any:
        """Its queue is full."""
        before = self._post.settings
        full = msgspec.structs.replace(before.queues, max_waiting_async=0)
        self._post.settings = msgspec.structs.replace(before, queues=full)
        yield
        self._post.settings = before


class Bucket:
    to = model.ToBucket(bucket="records", prefix="told/")
    missing = model.ToBucket(bucket="nowhere")

    def __init__(self, post: Post, _: receiver.Receiver) -> None:
        self._folder = post.settings.data.root / "buckets" / "records"
        self._engine = post.engine
        post.deploy("any")

    async def arrived(self) -> list[Any]:
        return [json.loads(file.read_bytes()) for file in sorted(self._folder.glob("told/*/*.json"))]

    @contextlib.contextmanager
    def away(self) -> Any:
        """Nobody can tell where it is."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE buckets RENAME TO away")
        yield
        with self._engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO buckets")


class Url:
    missing = model.ToUrl(url="gopher://example.com/")

    def __init__(self, post: Post, hook: receiver.Receiver) -> None:
        self.to = model.ToUrl(url=hook.url)
        self._hook = hook

    async def arrived(self) -> list[Any]:
        assert self._hook.unsigned == 0
        return list({one.headers["Faas-Delivery-Id"]: one.record for one in self._hook.received}.values())

    @contextlib.contextmanager
    def away(self) -> Any:
        was = self._hook.answer
        self._hook.answer = lambda _: 503
        yield
        self._hook.answer = was
        self._hook.received.clear()


@pytest.fixture(params=[Function, Bucket, Url], ids=["function", "bucket", "url"])
async def kind(request: pytest.FixtureRequest, post: Post) -> AsyncIterator[Kind]:
    make: Callable[[Post, receiver.Receiver], Kind] = request.param
    await post.queue.prepare("after@1")
    async with receiver.receiving() as hook:
        yield make(post, hook)


class Record:
    """A record of an async invocation that went well."""

    async def send(self, post: Post, to: model.Destination) -> None:
        source = post.deploy("source", on_success=to)
        invocation = model.Invocation(
            id=ids.new_id(), function="source", revision=source.number, trigger="invoke", mode=model.Mode.ASYNC,
            event=b"null", accepted_at_ms=1,
        )  # fmt: skip
        await post.queue.enqueue(invocation)
        (claim,) = await post.queue.claim("n", source.ref, 1)
        record = samples.record(invocation)
        settled = destined.settled(record, model.Condition.SUCCESS, b'{"answer": 42}')
        await post.queue.finish_claimed(claim, record, node="n", settled=settled)

    def answer(self, arrived: Any) -> Any:
        return arrived["responsePayload"]["answer"]


class Message:
    """A message that no invocation is behind."""

    async def send(self, post: Post, to: model.Destination) -> None:
        message = delivery.Message(id=ids.new_id(), of="alarm", body=b'{"answer": 42}')
        assert await delivery.post(post.queue, message, to)

    def answer(self, arrived: Any) -> Any:
        return arrived["answer"]


@pytest.fixture(params=[Record, Message], ids=["record", "message"])
def what(request: pytest.FixtureRequest) -> Record | Message:
    made: Record | Message = request.param()
    return made


async def test_what_is_sent_arrives_and_leaves_the_outbox(post: Post, kind: Kind, what: Record | Message) -> None:
    await what.send(post, kind.to)
    async with post.scheduler():
        await eventually(post.is_empty)
    (arrived,) = await kind.arrived()
    assert what.answer(arrived) == 42


async def test_what_is_delivered_twice_counts_once(post: Post, kind: Kind, what: Record | Message) -> None:
    await what.send(post, kind.to)
    taken = await post.taken()
    async with post.courier() as one, post.courier() as other:
        tried = [await each.deliver(taken, kind.to) for each in (one, other, one)]
    assert {each.verdict for each in tried} == {webhooks.Verdict.DELIVERED}
    await outbox.put_away(post.queue, taken)
    assert len(await kind.arrived()) == 1


async def test_what_is_away_is_tried_again_and_gets_it(post: Post, kind: Kind, what: Record | Message) -> None:
    await what.send(post, kind.to)
    taken = await post.taken()
    with kind.away():
        async with post.courier() as away:
            assert (await away.deliver(taken, kind.to)).verdict is webhooks.Verdict.LATER
        assert await post.queue.link.call("XLEN", post.queue.keys.outbox(taken.outbox.ref, taken.outbox.way)) == 1
    await outbox.let_go(post.queue, taken.outbox, "test", [taken.id])
    async with post.scheduler():
        await eventually(post.is_empty)
    assert len(await kind.arrived()) == 1


async def test_what_is_not_there_is_given_up_at_once_and_says_why(
    post: Post, kind: Kind, what: Record | Message, caplog: pytest.LogCaptureFixture
) -> None:
    await what.send(post, kind.missing)
    async with post.scheduler():
        await eventually(post.is_empty)
    assert await kind.arrived() == []
    (said,) = [one for one in caplog.records if one.message in ("record_undelivered", "message_undelivered")]
    assert said.__dict__["reason"]


async def test_a_message_is_sent_once_however_often_it_is_posted(post: Post, kind: Kind) -> None:
    message = delivery.Message(id=ids.new_id(), of="alarm", body=b'"once"')
    assert [await delivery.post(post.queue, message, kind.to) for _ in range(3)] == [True, False, False]
    async with post.scheduler():
        await eventually(post.is_empty)
    assert not await delivery.post(post.queue, message, kind.to)
    assert await kind.arrived() == ["once"]


async def test_one_message_may_go_to_several_places(post: Post) -> None:
    async with receiver.receiving() as one, receiver.receiving() as other:
        message = delivery.Message(id=ids.new_id(), of="alarm", body=b"1")
        for _ in range(2):
            for hook in (one, other):
                await delivery.post(post.queue, message, model.ToUrl(url=hook.url))
        async with post.scheduler():
            await eventually(post.is_empty)
        assert (len(one.received), len(other.received)) == (1, 1)


async def test_messages_to_one_place_hold_up_none_to_another(post: Post) -> None:
    async with receiver.receiving() as slow, receiver.receiving() as quick:
        slow.hold = asyncio.Event()
        for number in range(20):
            for hook in (slow, quick):
                message = delivery.Message(id=ids.new_id(), of="alarm", body=str(number).encode())
                await delivery.post(post.queue, message, model.ToUrl(url=hook.url))
        async with post.scheduler(destination_timeout_ms=60_000):
            await eventually(lambda: len(quick.received) == 20)
            assert len(slow.received) < 20
            slow.hold.set()
            await eventually(post.is_empty)
    assert "Faas-Invocation-Id" not in quick.received[0].headers


async def test_a_message_that_cannot_be_delivered_is_whole_in_the_log(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    message = delivery.Message(id=ids.new_id(), of="alarm", body=b'{"too": "many errors"}')
    await delivery.post(post.queue, message, model.ToUrl(url="http://127.0.0.1:1/hook"))
    async with post.scheduler(destination_max_attempts=2):
        await eventually(post.is_empty)
    (said,) = [record for record in caplog.records if record.message == "message_undelivered"]
    told = {name: said.__dict__[name] for name in ("message_id", "of", "body")}
    assert told == {"message_id": message.id, "of": "alarm", "body": '{"too": "many errors"}'}
    assert said.__dict__["reason"]


async def test_too_many_messages_for_one_destination_are_refused_and_others_are_not(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_MESSAGES", 2)

    async def send(to: model.Destination) -> bool:
        return await delivery.post(post.queue, delivery.Message(id=ids.new_id(), of="alarm", body=b"1"), to)

    full = model.ToUrl(url="http://127.0.0.1:1/one")
    assert [await send(full), await send(full)] == [True, True]
    with pytest.raises(errors.Throttled, match="2 messages wait"):
        await send(full)
    assert await send(model.ToUrl(url="http://127.0.0.1:1/other"))


async def test_a_message_that_nobody_can_read_is_set_aside_and_the_next_is_delivered(post: Post) -> None:
    async with receiver.receiving() as hook:
        to = model.ToUrl(url=hook.url)
        place = destined.place_of(msgspec.msgpack.encode(to))
        keys = post.queue.keys
        await post.queue.link.call("XADD", keys.outbox(place, "message"), "*", "m", b"\xc1", "to", b"x")
        await post.queue.link.call("HINCRBY", keys.held, "entries", 1)
        await post.queue.link.call("HINCRBY", keys.held, "bytes", 2)
        await delivery.post(post.queue, delivery.Message(id=ids.new_id(), of="alarm", body=b"1"), to)
        async with post.scheduler():
            await eventually(post.is_empty)
        assert [one.record for one in hook.received] == [1]
    assert await post.queue.link.call("XLEN", keys.unreadable) == 1
