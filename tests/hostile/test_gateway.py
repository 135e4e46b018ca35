"""Bytes of any kind sent to the gateway: errors in one shape or a closed connection, and the next call is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator

import hypothesis
import pytest
from hypothesis import strategies as st

from faas.core import model
from faas.core.calls import dispatch
from faas.queue import invocations, replies
from faas.serving import port as ports
from tests import samples
from tests.hostile import effort
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

REVISION = model.Revision(
    function="hello",
    number=1,
    artifact="0" * 64,
    config=model.FunctionConfig(
        runtime="python3", handler="app.handler", triggers=(model.HttpTrigger(path="/hello/{name}"),)
    ),
    created_at_ms=0,
)
LIMITS = limits.Limits(max_event_bytes=100_000, max_queue_wait_ms=100, max_connections=1_000)
GOOD = b"GET /hello/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
WITHIN_S = 60


class Answers:
    """A hand-off whose function returns what the test says."""

    def __init__(self) -> None:
        self.body = b'"well"'

    def offer(self, invocation: model.Invocation, caller: dispatch.Caller) -> bool:
        json.loads(invocation.event)
        outcome = model.Outcome(record=samples.record(invocation), body=self.body)
        asyncio.get_running_loop().call_soon(caller.answer, outcome)
        return True


class Gateway:
    """A gateway that listens."""

    def __init__(self, address: tuple[str, int], function: Answers) -> None:
        self._address = address
        self.function = function

    async def says(self, sent: bytes, *, ends: bool = True) -> bytes:
        """All that comes back until the gateway, or this client, has said its last."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            async with asyncio.timeout(WITHIN_S):
                with contextlib.suppress(ConnectionError):
                    writer.write(sent)
                    await writer.drain()
                    if ends:
                        writer.write_eof()
                    return await reader.read()
                return b""
        finally:
            writer.close()

    async def is_well(self) -> bool:
        """Whether the next good request is answered."""
        return (await self.says(GOOD, ends=False)).startswith(b"HTTP/1.1 200 OK\r\n")

    async def half(self, sent: bytes) -> asyncio.StreamWriter:
        """A client that has sent this and sends nothing more."""
        _, writer = await asyncio.open_connection(*self._address)
        writer.write(sent)
        await writer.drain()
        return writer


@pytest.fixture
async def gateway(redis_url: str, prefix: str) -> AsyncIterator[Gateway]:
    queue = await invocations.Queue.connect(redis_url, prefix)
    answers = await replies.Replies.open(redis_url, prefix)
    table, function = routes.Routes([REVISION]), Answers()
    made = gateways.Gateway(queue, answers, function, lambda: table, LIMITS)
    async with ports.serving(server.GatewayServer(made), "127.0.0.1", 0, grace_s=20, farewell_s=0.0) as url:
        yield Gateway(("127.0.0.1", int(url.rsplit(":", 1)[1])), function)
    await answers.close()
    queue.close()


def fail_unless_in_shape(answer: bytes) -> None:
    """Every response is a good one, or an error in the one shape; none says that the gateway failed."""
    for found in re.finditer(rb"HTTP/1\.[01] (\d{3}) [^\r]*\r\n((?:[^\r\n]+\r\n)*)\r\n", answer):
        status = int(found[1])
        assert status < 500, answer
        if status >= 400 and b"application/json" in found[2]:
            length = re.search(rb"(?i)content-length: (\d+)", found[2])
            assert length is not None, answer
            body = answer[found.end() :][: int(length[1])]
            if body:  # there is none after HEAD
                assert set(json.loads(body)["error"]) >= {"code", "message", "invocation_id"}, answer
        elif status >= 400:
            raise AssertionError(answer)
    assert not answer or answer.startswith(b"HTTP/1."), answer


ODD = st.one_of(
    st.sampled_from(
        [b"", b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b" ", b"\t", b":", b"%", b"%00", b"a" * 70_000]
    ),
    st.binary(max_size=30),
)
METHODS = st.one_of(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"get"]), ODD)
TARGETS = st.one_of(
    st.sampled_from(
        [
            b"/hello/x",
            b"/fn/hello",
            b"*",
            b"//",
            b"/..",
            b"http://x/hello/x",
            b"//x:y",
            b"/%ff",
            b"/hello/%00?%",
            b"/[",
            b"h:80",
        ]
    ),
    ODD,
)
VERSIONS = st.one_of(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.1 "]), ODD)
NAMES = st.one_of(
    st.sampled_from(
        [
            b"Host",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Content-Encoding",
            b"Content-Type",
            b"Expect",
            b"Upgrade",
            b"Connection",
            b"Cookie",
            b"Faas-Invocation-Type",
            b"Faas-Invocation-Id",
            b"Range",
        ]
    ),
    ODD,
)
VALUES = st.one_of(
    st.sampled_from(
        [
            b"h",
            b"0",
            b"5",
            b"-1",
            b"+5",
            b"5, 5",
            b"99999999999999999999",
            b"0x5",
            b"chunked",
            b"chunked, chunked",
            b"gzip",
            b"deflate",
            b"br",
            b"100-continue",
            b"websocket",
            b"keep-alive",
            b"close",
            b"async",
            b"[::1",
            b"text/plain; charset=x",
        ]
    ),
    ODD,
)
FIELDS = st.lists(st.builds(lambda name, value: name + b": " + value, NAMES, VALUES), max_size=5)
CHUNKS = st.builds(
    lambda size, data, end: size + b"\r\n" + data + end,
    st.sampled_from([b"5", b"0", b"-1", b"ffffffffffffffffffff", b"5;x=y", b"zz", b"", b" 5", b"1" * 300]),
    st.binary(max_size=10),
    st.sampled_from([b"\r\n", b"", b"\n", b"\r\n0\r\n\r\n"]),
)
BODIES = st.one_of(st.binary(max_size=50), st.lists(CHUNKS, max_size=4).map(b"".join))
REQUESTS = st.builds(
    lambda method, target, version, fields, body: b"\r\n".join(
        [method + b" " + target + b" " + version, *fields, b"", body]
    ),
    METHODS,
    TARGETS,
    VERSIONS,
    FIELDS,
    BODIES,
)


@effort.bounded(800)
@hypothesis.given(st.lists(REQUESTS, min_size=1, max_size=3).map(b"".join))
async def test_any_requests_are_answered_in_shape_or_the_connection_is_closed(gateway: Gateway, sent: bytes) -> None:
    fail_unless_in_shape(await gateway.says(sent))
    assert await gateway.is_well()


@effort.bounded(400)
@hypothesis.given(st.binary(max_size=300))
async def test_any_bytes_are_refused_in_shape_or_the_connection_is_closed(gateway: Gateway, sent: bytes) -> None:
    fail_unless_in_shape(await gateway.says(sent))
    assert await gateway.is_well()


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"G",
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\n",
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_a_hundred_requests_that_never_end_keep_nobody_waiting(gateway: Gateway, half: bytes) -> None:
    open_ones = [await gateway.half(half) for _ in range(100)]
    assert await gateway.is_well()
    for writer in open_ones:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /hello/x HTTP/1.1\r\nHost: h\r\n" + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET /hello/x HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 1_000_000,
        b"POST /hello/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200_000,
    ],
    ids=["long field", "many fields", "long path", "long body", "many chunks"],
)
async def test_what_is_too_large_is_refused(gateway: Gateway, sent: bytes) -> None:
    answer = await gateway.says(sent, ends=False)
    fail_unless_in_shape(answer)
    assert b" 200 OK" not in answer
    assert await gateway.is_well()


RESULTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["statusCode", "headers", "cookies", "body", "isBase64Encoded"]), st.text()),
            inner,
        ),
    ),
    max_leaves=8,
)
HEADER_NAMES = st.one_of(
    st.sampled_from(["Content-Length", "Transfer-Encoding", "Faas-Error", "X-Good", "X\r\nX-Evil"]), st.text()
)
HEADER_VALUES = st.one_of(
    st.sampled_from(["1", "chunked", "1\r\nX-Evil: 1", "1\r\n\r\nHTTP/1.1 200 OK", "\n"]), st.text()
)
RESPONSES = st.fixed_dictionaries(
    {"statusCode": st.one_of(st.sampled_from([200, 204, 304, 404]), st.integers(190, 610), RESULTS)},
    optional={
        "headers": st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=2),
        "cookies": st.lists(HEADER_VALUES, max_size=2),
        "body": st.text(),
        "isBase64Encoded": st.booleans(),
    },
)


@effort.bounded(200)
@hypothesis.given(st.one_of(RESULTS, RESPONSES))
async def test_whatever_a_function_returns_is_one_response_and_no_other_header_or_response(
    gateway: Gateway, result: object
) -> None:
    gateway.function.body = json.dumps(result).encode("utf-8", "surrogatepass")
    answer = await gateway.says(GOOD, ends=False)
    gateway.function.body = b'"well"'
    head, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 \d{3} ", head), answer
    assert b"gateway failed" not in body
    assert b"\r\nX-Evil" not in head
    # What a function returned may stand in the body of its refusal, which ends where it says.
    assert re.findall(rb"(?im)^content-length: (\d+)", head) in ([], [str(len(body)).encode()])
    assert await gateway.is_well()
