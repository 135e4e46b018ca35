"""The link under the event loop that the platform's processes run on."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from faas.core import errors
from faas.queue import client, embedded, invocations, link
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
        self._path = link.parse_url(redis_url).path
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
        opened = await link.Link.open(redis_url)
        await opened.call("SET", f"{prefix}:k", "v")
        held: bytes = await opened.call("GET", f"{prefix}:k")
        opened.close()
        return held

    assert run(talk()) == b"v"


async def test_what_redis_refuses_is_an_error_of_the_tree_and_the_link_goes_on(redis_url: str, prefix: str) -> None:
    opened = await link.Link.open(redis_url)
    await opened.call("SET", f"{prefix}:k", "v")
    with pytest.raises(errors.Unavailable, match="Redis refuses: ERR value is not an integer"):
        await opened.call("INCR", f"{prefix}:k")
    assert await opened.call("GET", f"{prefix}:k") == b"v"
    opened.close()


async def test_a_password_that_is_not_taken_leaves_no_link_open(redis_url: str) -> None:
    with pytest.raises(errors.Unavailable, match=r"Redis refuses: (WRONGPASS|ERR AUTH)"):
        await link.Link.open(redis_url.replace("unix://", "unix://:wrong@"))


async def test_a_server_that_has_lost_the_scripts_is_connected_to_anew(tmp_path: Path) -> None:
    server = embedded.EmbeddedServer(tmp_path)
    queue = await invocations.Queue.connect(await server.start(), "t")
    await queue.link.call("SCRIPT", "FLUSH")
    with pytest.raises(errors.Unavailable, match="NOSCRIPT"):
        await queue.prepare("echo@1")
    await queue.link.lost
    await queue.reopen()
    await queue.prepare("echo@1")
    queue.close()
    await server.stop()


@_LOOPS
def test_what_is_connected_to_a_host_that_has_lost_its_power_hears_of_it(
    run: _Run, redis_url: str, prefix: str
) -> None:
    async def lose_power() -> None:
        wire = Wire(redis_url)
        async with wire.laid() as url:
            idle, busy, reading = await link.Link.open(url), await link.Link.open(url), client.connect(url)
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


async def _is_blocked(opened: link.Link) -> bool:
    """Whether somebody waits in a blocking read."""
    return b"flags=b" in await opened.call("CLIENT", "LIST")
