"""What a client may do on a connection of the gateway, with raw sockets; the function answers when the test says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import gzip
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent import futures
from typing import Any

import pytest
import uvloop

from faas.core import errors, model
from faas.core.calls import dispatch
from faas.queue import invocations, replies
from faas.serving import port as ports
from tests import samples
from tests.eventually import eventually
from triggers.gateway import connection, limits, routes, server
from triggers.gateway import gateway as gateways

CONFIG = model.FunctionConfig(
    runtime="python3", handler="app.handler", triggers=(model.HttpTrigger(path="/hello/{name}"),)
)
HELLO = model.Revision(function="hello", number=1, artifact="0" * 64, config=CONFIG, created_at_ms=0)
PAGE = "https://app.example"
OPEN = model.Revision(
    function="open",
    number=1,
    artifact="0" * 64,
    config=model.FunctionConfig(
        runtime="python3",
        handler="app.handler",
        triggers=(
            model.HttpTrigger(
                path="/open", methods=("GET", "PUT"), cors=model.Cors(origins=(PAGE,), max_age_s=60, credentials=True)
            ),
            model.HttpTrigger(path="/closed", methods=("GET",)),
        ),
    ),
    created_at_ms=0,
)
WITHIN_S = 20


class Function:
    """A hand-off that answers at once what ``says`` returns; when that is None, it holds calls until `answer`."""

    def __init__(self) -> None:
        self.says: Callable[[dict[str, Any]], object] | None = lambda event: event
        self.held: list[tuple[model.Invocation, dispatch.Caller]] = []
        self.table = routes.Routes([HELLO, OPEN])
        self.loop = asyncio.get_running_loop()

    def offer(self, invocation: model.Invocation, caller: dispatch.Caller) -> bool:
        """See `dispatch.Dispatch`."""
        if self.says is None:
            self.held.append((invocation, caller))
        else:
            result = self.says(json.loads(invocation.event))
            self.loop.call_soon(caller.answer, _outcome(invocation, result))
        return True

    def holds_one(self) -> bool:
        """Whether it has one call."""
        return len(self.held) == 1

    def answer(self, result: object) -> None:
        """The call that it holds has ended with this."""
        invocation, caller = self.held.pop()
        self.loop.call_soon_threadsafe(caller.answer, _outcome(invocation, result))


def _outcome(invocation: model.Invocation, result: object) -> model.Outcome:
    return model.Outcome(record=samples.record(invocation), body=json.dumps(result).encode())


class Served:
    """A gateway that listens, its function, and the clients that have come."""

    def __init__(self, url: str, function: Function) -> None:
        self.port = int(url.rsplit(":", 1)[1])
        self.function = function
        self._open: list[Client] = []

    async def client(self) -> Client:
        """A client that has connected; it leaves when the test ends."""
        made = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._open.append(made)
        return made

    async def close(self) -> None:
        """Let every client leave."""
        for client in self._open:
            client.writer.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: bytes) -> None:
        """Write bytes; they leave when the loop turns."""
        self.writer.write(text)

    async def head(self) -> bytes:
        """The next head of an answer."""
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answered(self, *, to_head: bool = False) -> tuple[bytes, bytes]:
        """The next answer: head and body."""
        head = await self.head()
        lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = 0 if to_head or not lines else int(lines[0].split(b":")[1])
        async with asyncio.timeout(WITHIN_S):
            return head, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """All until the gateway closes."""
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.read()


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """The platform runs on uvloop, whose transports write and pause at other moments than asyncio's."""
    runner: Callable[..., None] = request.param
    return runner


@contextlib.asynccontextmanager
async def serving(run: Callable[..., None], redis_url: str, prefix: str, **bounds: int) -> AsyncIterator[Served]:
    """A gateway in a thread of its own, with bounds of the test's own."""
    given = limits.Limits(**{"max_event_bytes": 20_000_000, "max_queue_wait_ms": 60_000, **bounds})
    started: futures.Future[tuple[Served, asyncio.Event]] = futures.Future()
    thread = threading.Thread(target=lambda: run(_serve(redis_url, prefix, given, started)), daemon=True)
    thread.start()
    served, stop = await asyncio.wait_for(asyncio.wrap_future(started), WITHIN_S)
    try:
        yield served
    finally:
        await served.close()
        served.function.loop.call_soon_threadsafe(stop.set)
        await asyncio.to_thread(thread.join, WITHIN_S)
        assert not thread.is_alive()


async def _serve(redis_url: str, prefix: str, given: limits.Limits, started: futures.Future[Any]) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix)
    answers = await replies.Replies.open(redis_url, prefix)
    function, stop = Function(), asyncio.Event()
    made = gateways.Gateway(queue, answers, function, lambda: function.table, given)
    async with ports.serving(server.GatewayServer(made), "127.0.0.1", 0, grace_s=5, farewell_s=0.0) as url:
        started.set_result((Served(url, function), stop))
        await stop.wait()
    await answers.close()
    queue.close()


@pytest.fixture
async def served(run: Callable[..., None], redis_url: str, prefix: str) -> AsyncIterator[Served]:
    async with serving(run, redis_url, prefix) as made:
        yield made


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    opened.close()


def request(name: str = "x", *fields: str, body: bytes = b"", method: str = "POST", version: str = "1.1") -> bytes:
    """A request as most clients send it."""
    lines = [f"{method} /hello/{name} HTTP/{version}", "Host: h.example:8080", *fields]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_requests_sent_in_one_go_are_answered_in_their_order(served: Served) -> None:
    client = await served.client()
    client.send(b"".join(request(str(number), body=b"%d" % number) for number in range(50)))
    for number in range(50):
        _, body = await client.answered()
        event = json.loads(body)
        assert (event["pathParameters"]["name"], event["body"]) == (str(number), str(number))


async def test_a_request_behind_one_that_runs_is_not_begun_before_that_is_answered(served: Served) -> None:
    served.function.says = None
    client = await served.client()
    client.send(request("1") + request("2"))
    await eventually(served.function.holds_one, within=WITHIN_S)
    client.send(request("3"))
    for number in (1, 2, 3):
        await eventually(served.function.holds_one, within=WITHIN_S)
        served.function.answer(number)
        assert (await client.answered())[1] == b"%d" % number


async def test_no_more_than_a_bound_is_read_of_what_comes_behind_a_request_that_runs(served: Served) -> None:
    served.function.says = None
    client = await served.client()
    client.send(request())
    await eventually(served.function.holds_one, within=WITHIN_S)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 50_000_000:
            client.send(request(body=b"y" * 100_000))
            sent += 100_000
            async with asyncio.timeout(0.5):
                await client.writer.drain()
    served.function.says = lambda _: "later"
    served.function.answer("first")
    assert (await client.answered())[1] == b"first"
    for _ in range(sent // 100_000):
        assert (await client.answered())[1] == b"later"


async def test_a_client_that_waits_for_100_continue_is_told_at_once(served: Served) -> None:
    client = await served.client()
    client.send(b"POST /hello/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"y" * 1_000_000)
    assert json.loads((await client.answered())[1])["body"] == "y" * 1_000_000


async def test_a_client_that_waits_for_100_continue_to_send_too_much_hears_so_instead(
    run: Callable[..., None], redis_url: str, prefix: str
) -> None:
    async with serving(run, redis_url, prefix, max_event_bytes=1000) as served:
        client = await served.client()
        client.send(b"POST /hello/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 413 ")


async def test_an_http_1_0_client_is_told_nothing_before_its_answer(served: Served) -> None:
    client = await served.client()
    client.send(request("x", "Expect: 100-continue", version="1.0"))
    assert (await client.answered())[0].startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_sends_no_more_still_gets_its_answers(served: Served) -> None:
    served.function.says = None
    client = await served.client()
    client.send(request("1") + request("2"))
    client.writer.write_eof()
    await eventually(served.function.holds_one, within=WITHIN_S)
    served.function.answer("one")
    await eventually(served.function.holds_one, within=WITHIN_S)
    served.function.answer("two")
    said = await client.rest()
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.endswith(b"\r\n\r\ntwo")


async def test_a_client_that_hangs_up_while_its_call_waits_for_a_slot_is_gone(served: Served) -> None:
    served.function.says = None
    client = await served.client()
    client.send(request())
    await eventually(served.function.holds_one, within=WITHIN_S)
    _, caller = served.function.held[0]
    assert not caller.is_gone
    client.writer.close()
    await eventually(lambda: caller.is_gone, within=WITHIN_S)


async def test_a_call_that_its_node_declines_goes_through_the_queue_until_its_client_goes(
    served: Served, queue: invocations.Queue
) -> None:
    served.function.says = None
    client = await served.client()
    client.send(request())
    await eventually(served.function.holds_one, within=WITHIN_S)
    _, caller = served.function.held.pop()
    served.function.loop.call_soon_threadsafe(caller.decline)

    async def counts() -> model.Counts:
        return (await queue.counts()).get(HELLO.ref, model.Counts())

    async def waits() -> bool:
        return await counts() == model.Counts(accepted=1, waiting=1)

    async def rejected() -> bool:
        return await counts() == model.Counts(accepted=1, done=1)

    await eventually(waits, within=WITHIN_S)
    client.writer.close()
    await eventually(rejected, within=WITHIN_S)


async def test_a_call_that_would_wait_too_long_is_refused_with_a_time_to_come_back(served: Served) -> None:
    def refuse(_: dict[str, Any]) -> object:
        raise errors.Throttled("the line is long", retry_after_s=7)

    served.function.says = refuse
    client = await served.client()
    client.send(request())
    head, body = await client.answered()
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"Retry-After: 7\r\n" in head
    assert json.loads(body)["error"]["code"] == "throttled"


async def test_the_answer_to_head_has_no_body_and_its_length(served: Served) -> None:
    served.function.says = lambda event: event["requestContext"]["http"]["method"]
    client = await served.client()
    client.send(request(method="HEAD") + request(method="GET"))
    head, _ = await client.answered(to_head=True)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 4\r\n" in head
    head, body = await client.answered()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"GET"


@pytest.mark.parametrize(
    ("version", "field", "told", "stays"),
    [
        ("1.0", "X: y", b"close", False),
        ("1.0", "Connection: keep-alive", b"keep-alive", True),
        ("1.0", "Connection: X-A, Keep-Alive", b"keep-alive", True),
        ("1.1", "Connection: X-A, Close", b"close", False),
        ("1.1", "Connection: keep-alive, X-A", b"", True),
        ("1.1", "Connection: close", b"close", False),
        ("1.1", "X: y", b"", True),
    ],
)
async def test_a_connection_is_kept_as_version_and_header_say(
    served: Served, version: str, field: str, told: bytes, stays: bool
) -> None:
    client = await served.client()
    client.send(request("x", field, version=version))
    head, _ = await client.answered()
    assert (b"Connection: " + told in head) if told else (b"Connection" not in head)
    if stays:
        client.send(request("again", field, version=version))
        assert json.loads((await client.answered())[1])["pathParameters"] == {"name": "again"}
    else:
        assert await client.rest() == b""


async def test_the_same_head_may_come_again_and_again_with_other_bodies(served: Served) -> None:
    client = await served.client()
    ids = set()
    for number in range(10):
        client.send(request(body=b"%d" % number))
        head, body = await client.answered()
        event = json.loads(body)
        assert event["body"] == str(number)
        assert event["requestContext"]["requestId"].encode() in head
        ids.add(event["requestContext"]["requestId"])
    assert len(ids) == 10


async def test_a_head_that_differs_in_a_letter_is_another_and_so_is_one_after_a_deploy(served: Served) -> None:
    client = await served.client()
    for name in ("a", "b", "b", "a"):
        client.send(request(name))
        assert json.loads((await client.answered())[1])["pathParameters"] == {"name": name}
    served.function.table = routes.Routes([])
    client.send(request("a"))
    assert (await client.answered())[0].startswith(b"HTTP/1.1 404 ")


async def test_a_body_may_come_in_chunks_of_any_cut(served: Served) -> None:
    sent = (
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;name=value\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n" + request("next", body=b"z")
    )
    for cut in range(1, len(sent)):
        client = await served.client()
        client.send(sent[:cut])
        await client.writer.drain()
        await asyncio.sleep(0)
        client.send(sent[cut:])
        bodies = [json.loads((await client.answered())[1])["body"] for _ in range(2)]
        assert bodies == ["abc0123456789", "z"]
        client.writer.close()


async def test_a_compressed_body_is_passed_on_as_it_is(served: Served) -> None:
    packed = gzip.compress(b"much of it")
    client = await served.client()
    client.send(request("x", "Content-Encoding: gzip", "Content-Type: text/plain", body=packed))
    event = json.loads((await client.answered())[1])
    assert event["isBase64Encoded"] is True
    assert event["body"] == base64.b64encode(packed).decode()


async def test_an_absolute_target_names_path_and_domain(served: Served) -> None:
    client = await served.client()
    client.send(b"GET http://shop.example:81/hello/x?q=1 HTTP/1.1\r\nHost: other\r\n\r\n")
    event = json.loads((await client.answered())[1])
    assert (event["rawPath"], event["rawQueryString"]) == ("/hello/x", "q=1")
    assert event["requestContext"]["domainName"] == "shop.example"


@pytest.mark.parametrize(
    ("target", "host", "domain", "path"),
    [
        ("/hello/x", "[::1]:8080", "[::1]", "/hello/x"),
        ("/hello/x", "shop.example.:8080", "shop.example", "/hello/x"),
        ("/hello/x", "", "localhost", "/hello/x"),
        ("/%68ello/%7Ex/../y", "h", "h", "/%68ello/%7Ex/../y"),
        ("/fn/hello/a%2Fb?c=d", "h", "h", "/a%2Fb"),
        ("http://[::1]:99/hello/x", "other", "[::1]", "/hello/x"),
    ],
)
async def test_a_target_and_a_host_may_be_written_in_several_ways(
    served: Served, target: str, host: str, domain: str, path: str
) -> None:
    client = await served.client()
    client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    event = json.loads((await client.answered())[1])
    assert (event["requestContext"]["domainName"], event["rawPath"]) == (domain, path)
    assert event["requestContext"]["http"]["path"] == path
    assert event["headers"].get("x-forwarded-prefix") == ("/fn/hello" if "/fn/" in target else None)


@pytest.mark.parametrize(
    "begin",
    [
        "GET hello/x HTTP/1.1\r\nHost: h", "GET * HTTP/1.1\r\nHost: h", "GET /hello/x HTTP/1.1\r\nHost: a b",
        "GET /hello/x HTTP/1.1\r\nHost: ::1", "GET /hello/x HTTP/1.1\r\nHost: h:port",
        "GET /hello/x HTTP/1.1\r\nHost: h:65536",
        "CONNECT h:80 HTTP/1.1\r\nHost: h",
        "GET /hello/x HTTP/1.1\r\nHost: <script>", "GET /hello/x HTTP/1.1", "GET /\xff HTTP/1.1\r\nHost: h",
        "BREW /hello/x HTTP/1.1\r\nHost: h", "GET /hello/x HTTP/3.0\r\nHost: h", "GET /hello/x HTTP/1.1\r\nHo st: h",
        "GET /hello/x HTTP/1.1\r\nHost: h\r\n folded", "GET /hello/x\r\nHost: h", "PRI * HTTP/2.0", "\x16\x03\x01",
        "GET /hello/x HTTP/1.1\r\nHost: h\r\nContent-Length: x", "{}",
        "POST /hello/x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999",
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused_in_our_own_words(served: Served, begin: str) -> None:
    client = await served.client()
    client.send(begin.encode("latin-1") + b"\r\n\r\n")
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    message = json.loads(body)["error"]["message"]
    assert message.startswith("no HTTP request: ")
    for word in ("bytearray", "encountered", "Invalid", "HPE", "callback", "Missing", "Unexpected", "Error"):
        assert word not in message


async def test_who_asks_about_the_gateway_as_a_whole_is_answered_without_an_invocation(served: Served) -> None:
    client = await served.client()
    client.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + request("x"))
    head, _ = await client.answered()
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"Faas-Invocation-Id" not in head
    assert (await client.answered())[0].startswith(b"HTTP/1.1 200 ")


async def test_a_function_sees_no_field_that_was_for_the_gateway(served: Served) -> None:
    client = await served.client()
    client.send(
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nTE: trailers\r\n"
        b"Connection: keep-alive, X-Named\r\nX-Named: 1\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    )
    event = json.loads((await client.answered())[1])
    assert set(event["headers"]) == {"host", "x-named", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"}
    assert event["body"] == "abc"


async def test_a_body_that_is_said_not_to_be_compressed_is_text(served: Served) -> None:
    client = await served.client()
    client.send(request("x", "Content-Encoding: identity", "Content-Type: text/plain", body=b"text"))
    event = json.loads((await client.answered())[1])
    assert (event["isBase64Encoded"], event["body"]) == (False, "text")


async def test_a_body_that_is_not_what_it_says_is_the_functions_to_find_out(served: Served) -> None:
    client = await served.client()
    client.send(request("x", "Content-Encoding: gzip", body=b"no gzip"))
    event = json.loads((await client.answered())[1])
    assert base64.b64decode(event["body"]) == b"no gzip"


async def test_head_on_a_route_for_get_runs_as_get_and_has_no_body(served: Served) -> None:
    client = await served.client()
    client.send(b"HEAD /closed HTTP/1.1\r\nHost: h\r\n\r\nGET /closed HTTP/1.1\r\nHost: h\r\n\r\n")
    head, _ = await client.answered(to_head=True)
    assert head.startswith(b"HTTP/1.1 200 ")
    head, body = await client.answered()
    event = json.loads(body)
    assert (event["requestContext"]["http"]["method"], event["routeKey"]) == ("GET", "GET /closed")


def _from_page(method: str, path: str, *fields: str, body: bytes = b"", origin: str = PAGE) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: h", f"Origin: {origin}", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_a_preflight_is_answered_without_an_invocation(served: Served) -> None:
    served.function.says = None
    client = await served.client()
    client.send(
        _from_page("OPTIONS", "/open", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a")
        + _from_page("OPTIONS", "/fn/open/x", "Access-Control-Request-Method: DELETE")
        + _from_page("OPTIONS", "/open", "Access-Control-Request-Method: PUT", origin="https://evil.example")
        + _from_page("OPTIONS", "/open", "Access-Control-Request-Method: DELETE")
    )
    head, _ = await client.answered()
    assert head.startswith(b"HTTP/1.1 204 ")
    for line in (
        b"Access-Control-Allow-Origin: https://app.example", b"Access-Control-Allow-Methods: GET, PUT",
        b"Access-Control-Allow-Headers: x-a", b"Access-Control-Max-Age: 60", b"Access-Control-Allow-Credentials: true",
        b"Vary: Origin",
    ):  # fmt: skip
        assert head.count(line + b"\r\n") == 1, line
    assert b"Access-Control-Allow-Methods: DELETE" in (await client.answered())[0]
    assert b"Access-Control" not in (await client.answered())[0]
    assert b"Access-Control-Allow-Methods: GET, HEAD, PUT" in (await client.answered())[0]
    assert served.function.held == []


async def test_a_route_without_cors_keeps_its_405(served: Served) -> None:
    client = await served.client()
    client.send(_from_page("OPTIONS", "/closed", "Access-Control-Request-Method: GET"))
    head, body = await client.answered()
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"Access-Control" not in head
    assert "cors" in json.loads(body)["error"]["hint"]


async def test_answers_and_errors_of_a_route_tell_browsers_that_pages_may_read_them(
    run: Callable[..., None], redis_url: str, prefix: str
) -> None:
    async with serving(run, redis_url, prefix, max_event_bytes=2000) as served:
        wanted = b"Access-Control-Allow-Origin: https://app.example\r\n"
        client = await served.client()
        client.send(_from_page("GET", "/open"))
        assert wanted in (await client.answered())[0]
        served.function.says = lambda _: {"statusCode": 99}
        client.send(_from_page("GET", "/open"))
        head, _ = await client.answered()
        assert head.startswith(b"HTTP/1.1 502 ")
        assert wanted in head
        for refused, status in (
            (_from_page("DELETE", "/open"), 405),
            (_from_page("PUT", "/open", "Faas-Delay: soon"), 400),
            (_from_page("PUT", "/open", body=b"x" * 2001), 413),
            (
                _from_page("PUT", "/open", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
                + b"zz\r\n",
                400,
            ),
        ):
            client = await served.client()
            client.send(refused)
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert wanted in head
        client = await served.client()
        client.send(_from_page("GET", "/closed"))
        assert b"Access-Control" not in (await client.answered())[0]


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length : 5",
        "Content-Length:\r\n 5",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "X: y\0",
        "Host: another",
    ],
)
async def test_what_two_servers_could_read_differently_is_refused(served: Served, fields: str) -> None:
    client = await served.client()
    client.send(f"POST /hello/x HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n0\r\n\r\n".encode() + request("smuggled"))
    said = await client.rest()
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "size", [b"5\nabcde\r\n", b" 5\r\nabcde\r\n", b"0x5\r\nabcde\r\n", b"5\r\nabcdef\r\n", b"5\r\nabcde\n"]
)
async def test_chunks_that_two_servers_could_read_differently_are_refused(served: Served, size: bytes) -> None:
    client = await served.client()
    client.send(b"POST /hello/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"0\r\n\r\n")
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.2"])
async def test_another_version_is_refused(served: Served, version: str) -> None:
    client = await served.client()
    client.send(request(version=version))
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /" + b"x" * 20_000, 414, "target_too_long"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target_too_long"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 70_000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 129 + b"\r\n", 431, "head_too_large"),
    ],
)
async def test_a_head_that_is_too_large_is_refused_before_it_ends(
    served: Served, sent: bytes, status: int, code: str
) -> None:
    client = await served.client()
    client.send(sent)
    said = await client.rest()
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == code


async def test_what_is_no_http_is_refused_before_a_line_of_it_ends(served: Served) -> None:
    client = await served.client()
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # the hello of TLS
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_a_refusal_leaves_the_connection_open_when_its_request_was_read_whole(served: Served) -> None:
    client = await served.client()
    client.send(b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + request("x"))
    assert (await client.answered())[0].startswith(b"HTTP/1.1 404 ")
    assert (await client.answered())[0].startswith(b"HTTP/1.1 200 ")


async def test_an_upgrade_is_not_taken_up(served: Served) -> None:
    client = await served.client()
    client.send(request("x", "Connection: Upgrade", "Upgrade: h2c", body=b"abc") + request("next"))
    assert json.loads((await client.answered())[1])["body"] == "abc"
    assert (await client.answered())[0].startswith(b"HTTP/1.1 200 ")


async def test_a_connection_too_many_is_refused_and_closed(
    run: Callable[..., None], redis_url: str, prefix: str
) -> None:
    async with serving(run, redis_url, prefix, max_connections=1) as served:
        first, second = await served.client(), await served.client()
        assert (await second.rest()).startswith(b"HTTP/1.1 503 ")
        first.send(request())
        assert (await first.answered())[0].startswith(b"HTTP/1.1 200 ")


LARGE = 8_000_000


async def _slow_client(served: Served) -> socket.socket:
    """A client with a small buffer of its own that has asked for a large answer, twice, and reads nothing."""
    loop = asyncio.get_running_loop()
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    await loop.sock_connect(slow, ("127.0.0.1", served.port))
    await loop.sock_sendall(slow, request("1") + request("2"))
    return slow


async def test_a_slow_reader_gets_all_of_a_large_answer_and_the_next_is_not_made_before(served: Served) -> None:
    begun = []
    served.function.says = lambda event: begun.append(event) or "z" * LARGE
    slow = await _slow_client(served)
    loop = asyncio.get_running_loop()
    got = 0
    async with asyncio.timeout(60):
        while got < LARGE // 4:
            got += len(await loop.sock_recv(slow, 65_536))
        assert len(begun) == 1
        while got < 2 * LARGE:
            got += len(await loop.sock_recv(slow, 1_000_000))
    slow.close()


async def test_a_client_that_does_not_read_its_answer_is_cut(
    run: Callable[..., None], redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SLOWEST_BYTES_S", LARGE)
    async with serving(run, redis_url, prefix, receive_timeout_ms=100) as served:
        served.function.says = lambda _: "z" * LARGE
        slow = await _slow_client(served)
        with slow:
            await eventually(lambda: _is_cut(slow), within=WITHIN_S)


def _is_cut(client: socket.socket) -> bool:
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
