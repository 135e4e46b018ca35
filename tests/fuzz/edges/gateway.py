"""Bytes of any kind on real sockets, to the gateway's own server and its routes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Iterable

from faas.core import model
from faas.core.calls import dispatch
from faas.queue import invocations, replies
from faas.serving import port as ports
from tests import samples
from tests.fuzz import client, edge, mutate, responses
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

_LIMITS = limits.Limits(
    max_event_bytes=60_000,
    max_queue_wait_ms=200,
    max_connections=1_000,
    receive_timeout_ms=2_000,
    max_connection_bytes=4 << 20,
)
_TRIGGERS = (
    model.HttpTrigger(path="/hello/{name}"),
    model.HttpTrigger(path="/only", methods=("POST",), max_delay_ms=600_000),
    model.HttpTrigger(path="/"),
)
_GOOD = b"POST /hello/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000
_METHODS = (
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"M-SEARCH",
    b"",
)
_TARGETS = (
    b"/hello/x", b"/only", b"/", b"/fn/hello", b"/fn/nobody", b"/healthz", b"/readyz", b"*", b"//", b"/..",
    b"/hello/../only", b"/hello/%2e",
    b"/hello/%2F", b"/hello/%00", b"/hello/%ff", b"/hello/\xff", b"/hello/x?a=1&a=2&b=%zz",
    b"/hello/x?" + b"&".join([b"a=1"] * 1_100),
    b"http://h/hello/x", b"http://u:p@h:80/hello/x", b"http://[::1]:80/hello/x", b"HTTP://h", b"//h/hello/x", b"h:80",
    b"/[", b"/hello/{name}",
    b"/hello/" + b"x" * 20_000, b"/hello/x#f", b"",
)  # fmt: skip
_VERSIONS = (
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/9.9",
    b"HTTP/1.1 ",
    b"http/1.1",
    b"",
)
_NAMES = (
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Content-Type", b"Expect", b"Upgrade",
    b"Connection", b"Cookie",
    b"Faas-Invocation-Type", b"Faas-Invocation-Id", b"Faas-Delay", b"Faas-Chain", b"Idempotency-Key",
    b"Authorization", b"TE", b"Trailer",
    b"Range", b"X-Forwarded-For", b"Keep-Alive", b"Proxy-Connection", b"Sec-WebSocket-Key", b"HTTP2-Settings",
    b"X\xff", b" X", b"X ", b"",
)  # fmt: skip
_VALUES = (
    b"h", b"0", b"5", b"-1", b"+5", b"5, 5", b"05", b"99999999999999999999", b"0x5", b"chunked", b"Chunked",
    b"chunked, chunked",
    b"gzip, chunked", b"identity", b"100-continue", b"websocket", b"h2c", b"keep-alive", b"close",
    b"close, keep-alive", b"async", b"sync", b"1s",
    b"31d", b"a key", b"[::1", b"[::1]:80", b"h:99999", b"h.", b"a=1; b=2", b"a=1;" * 600,
    b"text/plain; charset=\xff", b"\xff", b"a\x00b", b"a\rb",
    b"x" * 9_000, b"multipart/form-data; boundary=x", b"",
)  # fmt: skip
_CHUNKS = (b"5\r\nabcde\r\n", b"0\r\n\r\n", b"5;x=y\r\nabcde\r\n", b"0\r\nX: y\r\n\r\n", b"-1\r\n",
    b"ffffffffffffffff\r\n", b"5 \r\nabcde\r\n",
           b"05\r\nabcde\r\n", b"5\nabcde\n", b"5\r\nabcdef\r\n", b"0x5\r\nabcde\r\n", b"1\r\nx\r\n" * 3_000,
           b";\r\n", b"\r\n")  # fmt: skip


class GatewayEdge(edge.Edge):
    """A gateway that listens, whose function says "well" to whatever it is called with."""

    name = "gateway"
    at_once = 8
    most_bytes = 90_000
    made_anew = 0.4
    needs_redis = True
    tokens = (*_METHODS, *_TARGETS, *_VERSIONS, *_NAMES, *_CHUNKS, b"\r\n", b"\r\n\r\n", b": ", b"HTTP/",
    b"Transfer-Encoding: chunked\r\n",
              b"Content-Length: 5\r\n", b"Host: h\r\n", b"Expect: 100-continue\r\n")  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """Listen."""
        self._stack = stack = contextlib.AsyncExitStack()
        queue = await invocations.Queue.connect(around.redis_url, around.prefix)
        stack.callback(queue.close)
        answers = await replies.Replies.open(around.redis_url, around.prefix)
        stack.push_async_callback(answers.close)
        table = routes.Routes([_revision()])
        made = gateways.Gateway(queue, answers, _Well(), lambda: table, _LIMITS)
        stack.push_async_callback(made.close)
        self._server = server.GatewayServer(made)
        url = await stack.enter_async_context(ports.serving(self._server, "127.0.0.1", 0, grace_s=5, farewell_s=0.0))
        self._address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))

    async def close(self) -> None:
        """Listen no more."""
        await self._stack.aclose()

    def seeds(self) -> Iterable[bytes]:
        """Requests of each kind, alone and one after the other."""
        get = b"GET /hello/x?a=1 HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\n\r\n"
        chunked = b"POST /only HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX: y\r\n\r\n"
        known = b"POST /only HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
        later = b"POST /only HTTP/1.1\r\nHost: h\r\nFaas-Delay: 10m\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n"
        absolute = b"GET http://h:80/hello/x HTTP/1.1\r\nHost: h\r\n\r\n"
        waiting = b"POST /only HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
        old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        yield from (get, chunked, known, later, absolute, waiting, old, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        yield get + chunked + known + get
        yield old * 5 + known * 20

    def make(self, chance: random.Random) -> bytes:
        """Requests whose parts are each one of many, good or not."""
        return b"".join(_request(chance) for _ in range(chance.choice((1, 1, 2, 3))))[: self.most_bytes]

    async def attempt(self, given: bytes) -> str:
        """Send it, and read the answers strictly."""
        heard = await client.says(self._address, client.pieces(given), whence=client.whence(given))
        try:
            found = responses.parsed(heard.said)
        except edge.Broken:
            if heard.was_reset:  # what was on its way is lost then
                return "reset"
            raise
        for response in found:
            responses.check_shape(response)
        return " ".join(_way(response) for response in found[:4]) + (" reset" if heard.was_reset else "")

    async def look(self) -> None:
        """Another caller is answered meanwhile, also when he sends much; what was held is given back."""
        async with asyncio.timeout(10):
            heard = await client.says(self._address, [_GOOD], whence="127.250.0.1", ends=False)
        edge.check(heard.said.startswith(b"HTTP/1.1 200 OK\r\n"), f"another caller was told: {heard.said[:200]!r}")
        held, most = self._server.held_bytes, _LIMITS.max_connection_bytes
        edge.check(0 <= held <= most, f"{held} bytes are held")


class _Well:
    """A hand-off that looks at its event."""

    def offer(self, invocation: model.Invocation, caller: dispatch.Caller) -> bool:
        event = json.loads(invocation.event)
        if not {"version", "rawPath", "headers", "requestContext"} <= set(event):
            raise edge.Broken(f"no event: {sorted(event)}")
        outcome = model.Outcome(record=samples.record(invocation), body=b'"well"')
        asyncio.get_running_loop().call_soon(caller.answer, outcome)
        return True


def _revision() -> model.Revision:
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=_TRIGGERS)
    return model.Revision(function="hello", number=1, artifact="0" * 64, config=config, created_at_ms=0)


def _way(response: responses.Response) -> str:
    if response.status < 400:
        return str(response.status)
    return f"{response.status} {edge.said(response.body[:160].decode(errors='replace'))[:60]}"


def _request(chance: random.Random) -> bytes:
    line = b" ".join(
        (
            chance.choice(_METHODS[:6] if chance.random() < 0.7 else _METHODS),
            chance.choice(_TARGETS),
            chance.choice(_VERSIONS),
        )
    )
    fields = [
        chance.choice(_NAMES) + b": " + chance.choice(_VALUES) for _ in range(chance.choice((0, 1, 2, 3, 5, 140)))
    ]
    body = chance.choice(
        (b"", b"{}", b"abcde", b"".join(chance.choice(_CHUNKS) for _ in range(3)), chance.choice(mutate.TEXTS))
    )
    if chance.random() < 0.8:
        fields.append(b"Host: h")
    if body and chance.random() < 0.7:
        fields.append(chance.choice((b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(body))))
    chance.shuffle(fields)
    ends = b"\r\n" if chance.random() < 0.95 else chance.choice((b"\n", b"\r", b"\r\n "))
    return ends.join([line, *fields, b"", body])
