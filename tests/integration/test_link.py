"""The link under the event loop that the platform's processes run on."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from faas.core import errors
from faas.link import address, client, connection
from faas.link import link as links
from faas.queue import invocations
from faas.valkey import embedded
from tests.eventually import eventually

_LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
_Run = Callable[[Coroutine[Any, Any, Any]], Any]
_HEARS_WITHIN_S = 35
"""More than the 11 s of `half_open`, less than the 45 s of redis-py's own keepalive."""
_SO_ATTACH_FILTER = 26
"""See socket(7); Python does not name it."""
_DROPS_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A BPF program of one instruction: return 0, so that no byte passes."""


class Wire:
    """A way over TCP to a Redis on a Unix socket, that can be cut such that nobody hears of it."""

    def __init__(self, redis_url: str) -> None:
        self._path = address.parse(redis_url).path
        self._ends: list[asyncio.StreamWriter] = []
        self._relays: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """While it is there: its URL."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        finally:
            self._server.close()
            for end in self._ends:
                end.close()
            await asyncio.gather(*self._relays)

    def cut(self) -> None:
        """From now on all that arrives is lost before it is acknowledged, as if the host had lost its power."""
        assert self._server
        self._server.close()
        program = ctypes.create_string_buffer(_DROPS_ALL)
        by_address = struct.pack("HP", 1, ctypes.addressof(program))
        for end in self._ends:
            with socket.socket(fileno=socket.dup(end.get_extra_info("socket").fileno())) as heard:
                heard.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, by_address)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        from_redis, to_redis = await asyncio.open_unix_connection(self._path)
        for relay in (_relay(reader, to_redis), _relay(from_redis, writer)):
            self._relays.append(asyncio.create_task(relay))


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(65_536):
            writer.write(some)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@_LOOPS
def test_the_link_speaks_on_either_event_loop(run: _Run, redis_url: str, prefix: str) -> None:
    async def talk() -> bytes:
        opened = await connection.Connection.open(redis_url)
        await opened.call("SET", f"{prefix}:k", "v")
        held: bytes = await opened.call("GET", f"{prefix}:k")
        opened.close()
        return held

    assert run(talk()) == b"v"


async def test_what_redis_refuses_is_an_error_of_the_tree_and_the_link_goes_on(redis_url: str, prefix: str) -> None:
    opened = await connection.Connection.open(redis_url)
    await opened.call("SET", f"{prefix}:k", "v")
    with pytest.raises(errors.Unavailable, match="Redis refuses: ERR value is not an integer"):
        await opened.call("INCR", f"{prefix}:k")
    assert await opened.call("GET", f"{prefix}:k") == b"v"
    opened.close()


async def test_a_password_that_is_not_taken_leaves_no_link_open(redis_url: str) -> None:
    with pytest.raises(errors.Unavailable, match=r"Redis refuses: (WRONGPASS|ERR AUTH)"):
        await connection.Connection.open(redis_url.replace("unix://", "unix://:wrong@"))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedServer]:
    own = embedded.EmbeddedServer(tmp_path)
    await own.start()
    yield own
    await own.stop()


async def test_a_server_that_has_lost_the_scripts_is_connected_to_anew(server: embedded.EmbeddedServer) -> None:
    queue = await invocations.Queue.connect(server.url, "t")
    await queue.link.call("SCRIPT", "FLUSH")
    with pytest.raises(errors.Unavailable, match="NOSCRIPT"):
        await queue.prepare("echo@1")
    await eventually(lambda: _is_prepared(queue))
    queue.close()


async def _is_prepared(queue: invocations.Queue) -> bool:
    try:
        await queue.prepare("echo@1")
    except errors.Unavailable:
        return False
    return True


async def test_a_link_opens_itself_again_with_the_scripts_and_says_so(server: embedded.EmbeddedServer) -> None:
    queue = await invocations.Queue.connect(server.url, "t")
    back = []
    queue.link.when_back(lambda: back.append(queue.link.is_open))
    for times in (1, 2):
        os.kill(server.pid or 0, signal.SIGKILL)
        await server.exited()
        await eventually(lambda: not queue.link.is_open)
        with pytest.raises(errors.Unavailable):
            await queue.prepare("echo@1")
        with pytest.raises(errors.Unavailable):
            await queue.reopen()
        await server.start()
        await eventually(lambda expected=times: back == [True] * expected)
        await queue.prepare("echo@1")
    queue.close()


async def test_a_link_that_was_closed_stays_closed_until_it_is_asked_for_again(redis_url: str) -> None:
    link = await links.Link.open(redis_url)
    link.close()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not link.is_open
    await link.reopen()
    lost = link.lost
    assert await link.call("PING") == b"PONG"
    link.connection.close()
    await asyncio.wait({lost})
    await eventually(lambda: link.is_open)
    link.close()


async def test_many_who_want_the_link_open_open_one_connection(redis_url: str) -> None:
    link = await links.Link.open(redis_url)
    before = len((await link.call("CLIENT", "LIST")).splitlines())
    back = []
    link.when_back(lambda: back.append(1))
    link.connection.close()
    await asyncio.gather(*(link.reopen() for _ in range(10)))
    assert back == [1]
    await eventually(lambda: _has_connections(link, before))
    link.close()


async def _has_connections(link: links.Link, most: int) -> bool:
    return len((await link.call("CLIENT", "LIST")).splitlines()) <= most


async def test_an_error_inside_an_array_is_one_of_the_tree_too(redis_url: str, prefix: str) -> None:
    opened = await connection.Connection.open(redis_url)
    opened.tell("SET", f"{prefix}:text", "no list")
    opened.tell("MULTI")
    opened.tell("LPUSH", f"{prefix}:text", "x")
    opened.tell("GET", f"{prefix}:text")
    refused, text = await opened.call("EXEC")
    assert isinstance(refused, errors.Unavailable)
    assert refused.message.startswith("Redis refuses: WRONGTYPE")
    assert text == b"no list"
    opened.close()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b":1\r\n:2\r\n",
        b"$-7\r\n",
        b":not a number\r\n",
        b"*-2\r\n",
    ],
    ids=["http", "nobody awaits it", "length", "number", "count"],
)
async def test_what_no_redis_would_say_ends_the_connection_as_an_error_of_the_tree(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    ended = asyncio.Event()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(b":1\r\n")  # the greeting is understood
        await reader.read(1_000)
        writer.write(said)
        await reader.read(1_000)
        writer.close()
        await writer.wait_closed()
        ended.set()

    place = tmp_path / "no-redis.sock"
    async with await asyncio.start_unix_server(babble, str(place)):
        opened = await connection.Connection.open(f"unix://{place}")
        (heard,) = await asyncio.gather(opened.call("PING"), return_exceptions=True)
        assert isinstance(heard, errors.Unavailable) or (said, heard) == (b":1\r\n:2\r\n", 1)
        await eventually(lambda: not opened.is_open)
        with pytest.raises(errors.Unavailable):
            await opened.call("PING")
        await ended.wait()
    assert [line.message for line in caplog.records] == ["redis_not_understood"]


@_LOOPS
def test_what_is_connected_to_a_host_that_has_lost_its_power_hears_of_it(
    run: _Run, redis_url: str, prefix: str
) -> None:
    async def lose_power() -> None:
        wire = Wire(redis_url)
        async with wire.laid() as url:
            idle, busy = [await connection.Connection.open(url) for _ in range(2)]
            reading = client.connect(url)
            await reading.ping()
            read = asyncio.create_task(reading.xread({f"{prefix}:stream": "$"}, block=0))
            await eventually(functools.partial(_is_blocked, busy))
            wire.cut()
            unanswered = busy.call("GET", f"{prefix}:k")
            async with asyncio.timeout(_HEARS_WITHIN_S):
                await asyncio.gather(idle.lost, busy.lost, asyncio.wait([read]))
            assert isinstance(unanswered.exception(), errors.Unavailable)
            with pytest.raises(errors.Unavailable), client.translated():
                await read
            await reading.aclose()

    run(lose_power())


async def _is_blocked(opened: connection.Connection) -> bool:
    """Whether somebody waits in a blocking read."""
    return b"flags=b" in await opened.call("CLIENT", "LIST")
