"""One caller who takes all that he can get of the gateway, from real sockets: the others have theirs all the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import ids, model
from faas.core.calls import calling, dispatch, lineage
from faas.core.http import hosts
from faas.queue import invocations, replies, secrets
from faas.serving import port as ports
from tests import samples
from tests.eventually import eventually
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

MALLORY, ALICE = "127.0.0.2", "127.0.0.3"
WITHIN_S = 20
PATIENT = model.HttpTrigger(path="/later", max_delay_ms=600_000)


def revision(name: str, *triggers: model.HttpTrigger) -> model.Revision:
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=triggers)
    return model.Revision(function=name, number=1, artifact="0" * 64, config=config, created_at_ms=0)


TABLE = routes.Routes(
    [revision("hello", model.HttpTrigger(path="/hello")), revision("later", model.HttpTrigger(path="/now"), PATIENT)]
)


class Function:
    """A hand-off whose function returns what the test says, and which notes what it was called with."""

    def __init__(self) -> None:
        self.body = b'"well"'
        self.called: list[model.Invocation] = []

    def offer(self, invocation: model.Invocation, caller: dispatch.Caller) -> bool:
        self.called.append(invocation)
        outcome = model.Outcome(record=samples.record(invocation), body=self.body)
        asyncio.get_running_loop().call_soon(caller.answer, outcome)
        return True


class Platform:
    """A gateway that listens, and what is behind it."""

    def __init__(self, port: int, served: server.GatewayServer, function: Function, queue: invocations.Queue) -> None:
        self.port = port
        self.server = served
        self.function = function
        self.queue = queue

    async def open(self, stack: contextlib.AsyncExitStack, whence: str, sent: bytes = b"") -> socket.socket:
        """A connection from an address that has sent this, and reads nothing by itself."""
        loop = asyncio.get_running_loop()
        one = stack.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.bind((whence, 0))
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", self.port))
        if sent:
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(one, sent)
        return one

    async def ask(self, request: bytes, whence: str = ALICE) -> bytes:
        """All of the answer to a request that is the last of its connection."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WITHIN_S), contextlib.AsyncExitStack() as stack:
            one = await self.open(stack, whence, request)
            said = b""
            with contextlib.suppress(ConnectionError):
                while piece := await loop.sock_recv(one, 65_536):
                    said += piece
            return said

    async def is_well(self) -> bool:
        """Whether another caller is answered, also when he sends much."""
        for body in (b"", b"x" * 100_000):
            assert b" 200 OK" in (await self.ask(call(body=body)))[:20]
        return True


def call(target: str = "/hello", *fields: str, body: bytes = b"", host: str = "h") -> bytes:
    """A whole request, the last of its connection."""
    head = [f"POST {target} HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def serving(redis_url: str, prefix: str, **bounds: object) -> AsyncIterator[Platform]:
    queue = await invocations.Queue.connect(redis_url, prefix)
    answers = await replies.Replies.open(redis_url, prefix)
    wide: dict[str, object] = {"max_connections": 100, "receive_timeout_ms": 60_000, "max_connection_bytes": 1_048_576}
    given = limits.Limits(max_event_bytes=6_000_000, max_queue_wait_ms=500, **{**wide, **bounds})  # type: ignore[arg-type]
    function = Function()
    served = server.GatewayServer(gateways.Gateway(queue, answers, function, lambda: TABLE, given))
    try:
        async with ports.serving(served, "127.0.0.1", 0, grace_s=0.1, farewell_s=0.0) as url:
            yield Platform(int(url.rsplit(":", 1)[1]), served, function, queue)
    finally:
        await answers.close()
        queue.close()


@pytest.mark.parametrize("sent", [b"", b"POST /hello HTTP/1.1\r\nHost", call(body=b"x" * 20)[:-1], b"done"])
async def test_connections_that_keep_the_gateway_waiting_make_room_when_all_are_taken(
    redis_url: str, prefix: str, sent: bytes
) -> None:
    async with serving(redis_url, prefix, max_connections=40) as platform, contextlib.AsyncExitStack() as stack:
        whole = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
        for _ in range(60):
            await platform.open(stack, MALLORY, whole if sent == b"done" else sent)

        await eventually(platform.is_well, within=WITHIN_S)
        for _ in range(20):
            await platform.open(stack, MALLORY, sent)
            assert await platform.is_well()


async def test_answers_that_nobody_reads_hold_no_more_than_their_share_and_the_others_are_answered(
    redis_url: str, prefix: str
) -> None:
    most = 20_000_000
    async with (
        serving(redis_url, prefix, max_connection_bytes=most) as platform,
        contextlib.AsyncExitStack() as stack,
    ):
        platform.function.body = b'"' + b"x" * 5_900_000 + b'"'
        for last in (b"", b"Connection: close\r\n") * 10:
            request = b"GET /hello HTTP/1.1\r\nHost: h\r\n" + last + b"\r\n"
            await platform.open(stack, MALLORY, request)
            await eventually(lambda: 0 < platform.server.held_bytes <= most, within=WITHIN_S)
        assert len(await platform.ask(call())) > 5_900_000


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /hello HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + b"x" * 150_000,
        call(body=b"x" * 200_000)[:-50_000],
    ],
    ids=["chunked", "plain"],
)
async def test_bodies_that_never_end_hold_no_more_than_their_share_and_the_others_are_answered(
    redis_url: str, prefix: str, sent: bytes
) -> None:
    async with serving(redis_url, prefix) as platform, contextlib.AsyncExitStack() as stack:
        for _ in range(24):
            await platform.open(stack, MALLORY, sent)
            assert await platform.is_well()
            await eventually(lambda: platform.server.held_bytes <= 1_048_576, within=WITHIN_S)
        assert platform.server.held_bytes > 0
    assert platform.server.held_bytes == 0


async def test_what_is_sent_ahead_of_a_running_call_is_counted_too(redis_url: str, prefix: str) -> None:
    async with serving(redis_url, prefix) as platform, contextlib.AsyncExitStack() as stack:
        called: list[model.Invocation] = []
        platform.function.offer = lambda invocation, caller: called.append(invocation) or True  # type: ignore[func-returns-value, method-assign] # never answered
        ahead = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" * 6_000
        for number in range(30):
            one = await platform.open(stack, MALLORY, b"POST /hello HTTP/1.1\r\nHost: h\r\n\r\n")
            await eventually(lambda number=number: len(called) > number, within=WITHIN_S)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                one.send(ahead)
        await eventually(lambda: 0 < platform.server.held_bytes <= 1_048_576, within=WITHIN_S)


async def test_who_reads_nothing_is_cut_long_before_all_could_have_been_read(redis_url: str, prefix: str) -> None:
    async with (
        serving(redis_url, prefix, receive_timeout_ms=300, max_connection_bytes=100_000_000) as platform,
        contextlib.AsyncExitStack() as stack,
    ):
        platform.function.body = b'"' + b"x" * 5_900_000 + b'"'
        for last in (b"", b"Connection: close\r\n"):
            await platform.open(stack, MALLORY, b"GET /hello HTTP/1.1\r\nHost: h\r\n" + last + b"\r\n")
        await eventually(lambda: platform.server.held_bytes > 1_000_000, within=WITHIN_S)
        await eventually(lambda: platform.server.held_bytes == 0, within=WITHIN_S)


@pytest.mark.parametrize("target", ["/hello", "/now", "/fn/hello"])
async def test_a_caller_may_delay_nothing_where_the_trigger_does_not_say_so(
    redis_url: str, prefix: str, target: str
) -> None:
    async with serving(redis_url, prefix) as platform:
        for field in ("Faas-Delay: 31d", "faas-delay: 1s", "Faas-Delay: 1ms\r\nIdempotency-Key: a"):
            said = await platform.ask(call(target, field))
            assert said.startswith(b"HTTP/1.1 403 "), said
            assert b"Faas-Error: platform" in said
            assert b"max_delay" in said
        assert await platform.queue.counts() == {}


@pytest.mark.parametrize("target", ["/later", "/fn/later"])
async def test_a_caller_may_delay_as_long_as_the_trigger_says(redis_url: str, prefix: str, target: str) -> None:
    async with serving(redis_url, prefix) as platform:
        assert b" 202 " in (await platform.ask(call(target, "Faas-Delay: 10m")))[:20]
        assert b" 403 " in (await platform.ask(call(target, "Faas-Delay: 11m")))[:20]
        assert (await platform.queue.counts())["later@1"].retrying == 1


async def test_requests_by_a_name_that_is_not_ours_are_refused(redis_url: str, prefix: str) -> None:
    own = hosts.of("faas.example.com,*.fn.example.com")
    async with serving(redis_url, prefix, names=own) as platform:
        for host in ("faas.example.com", "faas.example.com:8080", "a.fn.example.com"):
            assert b" 200 " in (await platform.ask(call(host=host)))[:20]
        for host in ("evil.com", "127.0.0.1", "[::1]:80", "fn.example.com", "faas.example.com.evil.com", ""):
            said = await platform.ask(call(host=host))
            assert said.startswith(b"HTTP/1.1 421 "), said
        absolute = call("http://evil.com/hello", host="faas.example.com")
        assert b" 421 " in (await platform.ask(absolute))[:20]
        assert b" 200 " in (await platform.ask(b"GET /healthz HTTP/1.0\r\n\r\n"))[:20]


async def _secret(platform: Platform) -> bytes:
    await eventually(lambda: platform.queue.link.call("EXISTS", platform.queue.keys.chain_secret), within=WITHIN_S)
    return await secrets.chain(platform.queue)


async def test_a_chain_that_comes_back_by_a_url_goes_on_and_ends_at_its_depth(redis_url: str, prefix: str) -> None:
    async with serving(redis_url, prefix) as platform:
        secret = await _secret(platform)
        chain = calling.Chain(16, ids.new_id(), ids.new_id())

        async def goes_on() -> bool:
            await platform.ask(call("/hello", f"Faas-Chain: {lineage.mark(secret, chain)}"))
            last = platform.function.called[-1]
            assert (last.depth, last.parent_id, last.root_id) == (chain.depth, chain.parent_id, chain.root_id)
            return True

        await eventually(goes_on, within=WITHIN_S)
        calls = len(platform.function.called)
        for depth, field in ((17, ""), (9_999, ""), (17, "Idempotency-Key: a"), (17, "Faas-Invocation-Type: async")):
            mark = lineage.mark(secret, msgspec.structs.replace(chain, depth=depth))
            said = await platform.ask(call("/hello", f"Faas-Chain: {mark}", *[field][: len(field)]))
            assert said.startswith(b"HTTP/1.1 508 "), said
            assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "chain_too_deep"
        assert len(platform.function.called) == calls, "it ran nothing"
        counts = (await platform.queue.counts())["hello@1"]
        assert (counts.accepted, counts.dead, counts.drift) == (4, 4, 0)


async def test_a_mark_that_is_not_ours_does_nobody_harm(redis_url: str, prefix: str) -> None:
    async with serving(redis_url, prefix) as platform:
        secret = await _secret(platform)
        good = lineage.mark(secret, calling.Chain(17, ids.new_id(), ids.new_id()))
        strange = lineage.mark(b"another", calling.Chain(17, ids.new_id(), ids.new_id()))
        for mark in (
            "17",
            "9" * 30,
            strange,
            good[:-1],
            good[:-1] + "g",
            "16" + good[2:],
            good.upper(),
            "\xff" * 9,
            "",
        ):
            said = await platform.ask(call("/hello", f"Faas-Chain: {mark}"))
            assert b" 200 " in said[:20], said
        assert {one.depth for one in platform.function.called} == {0}


@pytest.mark.parametrize(
    "body",
    [
        b'{"statusCode":200,"cookies":[' + b",".join([b'"a=1"'] * 700_000) + b"]}",
        b'{"statusCode":200,"headers":{' + b",".join(b'"x%d":1' % n for n in range(400_000)) + b"}}",
        b"[" * 20_000 + b"]" * 20_000,
        b'{"statusCode":[' + b"1," * 2_000_000 + b"1]}",
    ],
    ids=["cookies", "headers", "depth", "status"],
)
async def test_an_answer_of_a_million_parts_is_its_functions_fault_and_keeps_nobody_waiting(
    redis_url: str, prefix: str, body: bytes
) -> None:
    async with serving(redis_url, prefix) as platform:
        platform.function.body = body
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(10):
            said = await platform.ask(call(), MALLORY)
            assert said.startswith(b"HTTP/1.1 502 "), said[:200]
            assert re.search(rb"(?i)faas-error: function", said)
            assert len(said) < 2_000
        assert loop.time() - began < 5


async def test_a_request_of_thousands_of_parts_is_refused_before_anything_is_made_of_them(
    redis_url: str, prefix: str
) -> None:
    async with serving(redis_url, prefix) as platform:
        query = "/hello?" + "&".join("a=1" for _ in range(2_000))
        assert b" 400 " in (await platform.ask(call(query)))[:20]
        assert b" 431 " in (await platform.ask(call("/hello", "Cookie: " + "a;" * 20_000)))[:20]
        assert b" 431 " in (await platform.ask(call("/hello", *["X: 1"] * 200)))[:20]
        assert platform.function.called == []


async def test_one_caller_who_fills_the_queue_leaves_room_for_the_others(redis_url: str, prefix: str) -> None:
    async with serving(redis_url, prefix, max_connections=1_000) as platform:
        small = invocations.limits.Bounds(total=300, total_bytes=3_000_000)
        platform.queue._bounds = platform.queue._together._bounds = small
        statuses = set()
        for target in ("/hello", "/later", "/now") * 30:
            said = await platform.ask(call(target, "Faas-Invocation-Type: async", body=b"x" * 60_000), MALLORY)
            statuses.add(said[9:12])
        assert statuses == {b"202", b"429"}
        for target in ("/hello", "/later", "/now"):
            said = await platform.ask(call(target, "Faas-Invocation-Type: async", body=b"x" * 60_000), ALICE)
            assert b" 202 " in said[:20], said
