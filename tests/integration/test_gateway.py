"""The gateway over a real server and a real socket; the runner is a consumer that answers what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from faas.core import model
from faas.core.calls import dispatch
from faas.queue import invocations, replies
from faas.serving import port
from tests import samples
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

CONFIG = model.FunctionConfig(
    runtime="python3",
    handler="app.handler",
    timeout_ms=200,
    triggers=(model.HttpTrigger(path="/hello/{name}", methods=("GET", "POST")),),
)
HELLO = model.Revision(function="hello", number=1, artifact="0" * 64, config=CONFIG, created_at_ms=0)
LIMITS = limits.Limits(max_event_bytes=2000, max_queue_wait_ms=100)


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    opened.close()


@pytest.fixture
async def client(redis_url: str, prefix: str, queue: invocations.Queue) -> AsyncIterator[aiohttp.ClientSession]:
    answers = await replies.Replies.open(redis_url, prefix)
    table = routes.Routes([HELLO])
    gateway = gateways.Gateway(queue, answers, dispatch.NoHandOff(), lambda: table, LIMITS)
    async with (
        port.serving(server.GatewayServer(gateway), "127.0.0.1", 0, grace_s=5, farewell_s=0.0) as url,
        aiohttp.ClientSession(base_url=url) as session,
    ):
        yield session
    await answers.close()


async def answer(queue: invocations.Queue, result: object, status: model.Status = model.Status.OK) -> model.Invocation:
    """Claim the one waiting call, as a runner would, and finish it with a result."""
    claims: list[invocations.Claim] = []
    async with asyncio.timeout(5):
        while not claims:
            claims = await queue.claim("n1", HELLO.ref, 1)
    call = claims[0].invocation
    record = samples.record(call, status)
    outcome = model.Outcome(record=record, body=json.dumps(result).encode())
    await queue.finish_claimed(claims[0], record, node="n1", reply=msgspec.msgpack.encode(outcome))
    return call


async def test_a_call_comes_back_as_the_handler_answered(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    result = {"statusCode": 201, "headers": {"x-made": 1}, "cookies": ["a=1", "b=2"], "body": "hi"}
    ran = asyncio.create_task(answer(queue, result))
    async with client.post("/hello/J%C3%BCrgen?q=1", data=b"payload", headers={"Content-Type": "text/plain"}) as got:
        assert got.status == 201
        assert await got.text() == "hi"
        assert got.headers["x-made"] == "1"
        assert got.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    call = await ran
    assert got.headers["Faas-Invocation-Id"] == call.id
    event = json.loads(call.event)
    assert event["pathParameters"] == {"name": "Jürgen"}
    assert event["rawPath"] == "/hello/J%C3%BCrgen"
    assert (event["body"], event["routeKey"]) == ("payload", "POST /hello/{name}")
    counts = (await queue.counts())[HELLO.ref]
    assert counts == model.Counts(accepted=1, done=1)


async def test_an_async_call_is_in_the_queue_when_its_202_arrives(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    async with client.get("/fn/hello", headers={"Faas-Invocation-Type": "async"}) as got:
        assert got.status == 202
        accepted = (await got.json())["invocation_id"]
    (claim,) = await queue.claim("n1", HELLO.ref, 1)
    assert (claim.invocation.id, claim.invocation.mode) == (accepted, model.Mode.ASYNC)


COOKIES = {"statusCode": 200, "headers": {"Set-Cookie": "a=1", "x-made": "1"}, "cookies": ["b=2"], "body": "yours"}


async def _keyed(client: aiohttp.ClientSession, queue: invocations.Queue, runs: bool, **fields: str) -> tuple[str, str]:
    """The id and the cookies that a call with the key ``k`` is answered with; it runs anew, or must not."""
    headers = {"Idempotency-Key": "k", **{name.replace("_", "-"): value for name, value in fields.items()}}
    ran = asyncio.create_task(answer(queue, COOKIES)) if runs else None
    async with client.post("/hello/Ada", data=b"1", headers=headers) as got:
        assert (got.status, await got.text(), got.headers["x-made"]) == (200, "yours", "1")
        told = got.headers["Faas-Invocation-Id"], ";".join(got.headers.getall("Set-Cookie", []))
    if ran is not None:
        assert (await ran).id == told[0]
    return told


async def test_the_answer_of_a_key_is_given_to_nobody_but_the_caller_who_had_it(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    callers = (
        {},
        {"Authorization": "Bearer a"},
        {"Authorization": "Bearer b"},
        {"Cookie": "session=1"},
        {"X_Api_Key": "1"},
        {"X_Api_Key": "2"},
        {"X_User_Id": "7"},
    )
    first = [await _keyed(client, queue, True, **fields) for fields in callers]
    again = [await _keyed(client, queue, False, **fields) for fields in callers]
    assert [call_id for call_id, _ in first] == [call_id for call_id, _ in again]
    assert len({call_id for call_id, _ in first}) == len(callers)


async def test_who_asks_again_with_a_key_gets_no_cookie_of_the_first_answer(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    first, cookies = await _keyed(client, queue, True)
    assert cookies == "a=1;b=2"
    assert await _keyed(client, queue, False, User_Agent="another", Traceparent="00-1") == (first, "")


@pytest.mark.parametrize(
    ("status", "http_status", "fault"),
    [
        (model.Status.ERROR, 502, "function"),
        (model.Status.OOM, 502, "function"),
        (model.Status.INIT_ERROR, 502, "function"),
        (model.Status.TIMEOUT, 504, "function"),
        (model.Status.LOST, 503, "platform"),
    ],
)
async def test_a_failure_says_whose_fault_it_was(
    client: aiohttp.ClientSession, queue: invocations.Queue, status: model.Status, http_status: int, fault: str
) -> None:
    ran = asyncio.create_task(answer(queue, None, status))
    async with client.get("/hello/x") as got:
        assert (got.status, got.headers["Faas-Error"]) == (http_status, fault)
        body = await got.json()
    assert body["error"]["invocation_id"] == (await ran).id


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/nowhere", {}, b"", 404, "not_found"),
        ("DELETE", "/hello/x", {}, b"", 405, "method_not_allowed"),
        ("POST", "/hello/x", {}, b"x" * 3000, 413, "too_large"),
        ("GET", "/hello/x", {"Faas-Invocation-Type": "maybe"}, b"", 400, "bad_request"),
        ("GET", "/hello/x", {}, b"", 504, "timed_out"),
    ],
)
async def test_a_refusal_has_one_shape(
    client: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    async with client.request(method, path, headers=headers, data=body or None) as got:
        assert got.status == status
        error = (await got.json())["error"]
        assert (error["code"], error["invocation_id"]) == (code, got.headers["Faas-Invocation-Id"])
        assert got.headers["Faas-Error"] == "platform"


async def test_without_redis_the_gateway_is_alive_but_not_ready(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    async with client.get("/readyz") as ready:
        assert ready.status == 200
    queue.close()
    async with client.get("/readyz") as gone, client.get("/healthz") as alive, client.get("/hello/x") as refused:
        assert (gone.status, alive.status, refused.status) == (503, 200, 503)
        assert refused.headers["Retry-After"] == "1"


async def test_a_call_whose_caller_waited_in_vain_is_settled_and_never_runs(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    async with client.get("/hello/x") as got:
        assert got.status == 504
    assert await queue.claim("n1", HELLO.ref, 1) == []
    assert (await queue.counts())[HELLO.ref] == model.Counts(accepted=1, done=1)


async def test_a_client_that_hangs_up_leaves_nothing_waiting(redis_url: str, queue: invocations.Queue) -> None:
    answers = await replies.Replies.open(redis_url, queue.keys.prefix)
    table = routes.Routes([HELLO])
    patient = limits.Limits(max_event_bytes=2000, max_queue_wait_ms=60_000)
    gateway = gateways.Gateway(queue, answers, dispatch.NoHandOff(), lambda: table, patient)

    async def counts() -> model.Counts:
        return (await queue.counts()).get(HELLO.ref, model.Counts())

    async with port.serving(server.GatewayServer(gateway), "127.0.0.1", 0, grace_s=5, farewell_s=0.0) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        writer.write(b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(5):
            while (await counts()).waiting == 0:
                pass
            writer.close()
            while (await counts()) != model.Counts(accepted=1, done=1):
                pass
    del reader
    await answers.close()


async def test_a_trace_that_a_caller_brings_goes_into_the_queue_and_one_that_is_none_does_not(
    client: aiohttp.ClientSession, queue: invocations.Queue
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for brought, kept in (
        ({"Traceparent": parent, "Tracestate": "a=1"}, model.TraceContext(parent, "a=1")),
        ({"traceparent": parent.upper()}, None),
        ({}, None),
    ):
        async with client.get("/fn/hello", headers={"Faas-Invocation-Type": "async", **brought}) as got:
            assert got.status == 202
        (claim,) = await queue.claim("n1", HELLO.ref, 1)
        assert claim.invocation.trace == kept
