"""Open connections are bounded, and clients that do not send are cut: with raw sockets, as hostile clients use them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from faas.core import model
from faas.core.calls import dispatch
from faas.queue import invocations, replies
from faas.serving import port as ports
from tests.eventually import eventually
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
CONFIG = model.FunctionConfig(
    runtime="python3", handler="app.handler", triggers=(model.HttpTrigger(path="/hello", methods=("POST",)),)
)
HELLO = model.Revision(function="hello", number=1, artifact="0" * 64, config=CONFIG, created_at_ms=0)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def serving(redis_url: str, prefix: str, *, farewell_s: float = 0.1, **bounds: int) -> AsyncIterator[int]:
    """A gateway's port, with one function on it that nothing runs."""
    table = routes.Routes([HELLO])
    queue = await invocations.Queue.connect(redis_url, prefix)
    answers = await replies.Replies.open(redis_url, prefix)
    wide = {"receive_timeout_ms": 60_000, "keep_alive_ms": 60_000, "max_connections": 100}
    given = limits.Limits(max_event_bytes=1000, max_queue_wait_ms=1000, **{**wide, **bounds})
    made = gateways.Gateway(queue, answers, dispatch.NoHandOff(), lambda: table, given)
    try:
        async with ports.serving(server.GatewayServer(made), "127.0.0.1", 0, grace_s=20, farewell_s=farewell_s) as url:
            yield int(url.rsplit(":", 1)[1])
    finally:
        await answers.close()
        queue.close()


async def opened(port: int, stack: contextlib.AsyncExitStack) -> Streams:
    """A connection that is closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    return reader, writer


async def ask(streams: Streams, request: bytes = HEALTH) -> bytes:
    """The status line of the answer to one request on an open connection."""
    reader, writer = streams
    writer.write(request)
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    return head


async def test_a_connection_too_many_gets_503_at_once_and_another_has_room_when_one_has_gone(
    redis_url: str, prefix: str
) -> None:
    async with serving(redis_url, prefix, max_connections=3) as port, contextlib.AsyncExitStack() as stack:
        held = [await opened(port, stack) for _ in range(3)]
        assert all([(await ask(one)).startswith(b"HTTP/1.1 200") for one in held])
        for _ in range(20):
            refused = await ask(await opened(port, stack))
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"Retry-After: 1" in refused
        silent = await opened(port, stack)
        assert (await ask(silent, b"")).startswith(b"HTTP/1.1 503"), "it need not send anything"
        held[0][1].close()

        async def admitted() -> bool:
            return (await ask(await opened(port, stack))).startswith(b"HTTP/1.1 200")

        await eventually(admitted, within=20)
        for one in held[1:]:
            assert (await ask(one)).startswith(b"HTTP/1.1 200"), "those that were in stay in"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_client_that_does_not_send_the_head_of_its_request_is_cut(
    redis_url: str, prefix: str, sent: bytes
) -> None:
    async with serving(redis_url, prefix, receive_timeout_ms=100) as port, contextlib.AsyncExitStack() as stack:
        reader, writer = await opened(port, stack)
        writer.write(sent)
        async with asyncio.timeout(20):
            assert await reader.read() == b""


async def test_who_has_connected_when_the_port_is_closed_is_answered_and_told_that_his_connection_ends(
    redis_url: str, prefix: str
) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        async with serving(redis_url, prefix, farewell_s=20.0) as port:
            held = await asyncio.open_connection("127.0.0.1", port)
            assert b"Connection: close" not in await ask(held)
            # Connected by the kernel, and not accepted yet: the event loop does not turn meanwhile.
            come = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)]
            for gone in (come.pop(5), come.pop(0)):
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                gone.close()
            later = loop.create_task(_ask_last(held, come))
        await later
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


async def _ask_last(held: Streams, come: list[socket.socket]) -> None:
    await asyncio.sleep(0.05)  # until the port is closed
    for streams in [held, *[await asyncio.open_connection(sock=one) for one in come]]:
        head = await ask(streams)
        assert head.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in head
        streams[1].close()


async def test_a_client_that_does_not_send_the_body_is_told_so_and_cut(redis_url: str, prefix: str) -> None:
    async with serving(redis_url, prefix, receive_timeout_ms=100) as port, contextlib.AsyncExitStack() as stack:
        reader, _ = streams = await opened(port, stack)
        head = await ask(streams, b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert head.startswith(b"HTTP/1.1 408")
        async with asyncio.timeout(20):
            assert await reader.read() == b""


async def test_an_idle_connection_is_closed_and_one_in_use_is_not_cut_at_the_time_of_its_first_head(
    redis_url: str, prefix: str
) -> None:
    async with (
        serving(redis_url, prefix, receive_timeout_ms=200, keep_alive_ms=2_000) as port,
        contextlib.AsyncExitStack() as stack,
    ):
        loop = asyncio.get_running_loop()
        reader, _ = streams = await opened(port, stack)
        await ask(streams)
        begun = loop.time()
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        assert loop.time() - begun > 1.0, "cut by the timer of the head, and not by that of idleness"
