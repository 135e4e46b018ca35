"""The control API's connections: nobody who keeps it waiting, and no page of another site, gets anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from faas.core import model
from faas.core import settings as settings_module
from tests.eventually import eventually
from tests.served_api import ControlApi, serving

WITHIN_S = 30


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    # What aiohttp does itself about connections that say nothing it does after two minutes then.
    short = settings_module.changed(settings, receive_timeout_ms=500, keep_alive_ms=60_000, max_connections=60)
    async with serving(short) as served:
        yield served


@pytest.fixture
async def patient(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    """One that waits long for a head, and short for the next request."""
    long = settings_module.changed(settings, receive_timeout_ms=120_000, keep_alive_ms=1_000, max_connections=60)
    async with serving(long) as served:
        yield served


class Attacker:
    """Connections that say what the test says, and read nothing by themselves."""

    def __init__(self, api: ControlApi, stack: contextlib.AsyncExitStack) -> None:
        self._address = ("127.0.0.1", int(api.url.rsplit(":", 1)[1]))
        self._stack = stack
        self.token = api.token

    async def open(self, sent: bytes = b"") -> socket.socket:
        loop = asyncio.get_running_loop()
        one = self._stack.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.setblocking(False)
        await loop.sock_connect(one, self._address)
        await loop.sock_sendall(one, sent)
        return one

    def head(self, line: str, *fields: str, host: str = "127.0.0.1", authorized: bool = True) -> bytes:
        own = [f"Host: {host}"] + ([f"Authorization: Bearer {self.token}"] if authorized else [])
        return "\r\n".join([f"{line} HTTP/1.1", *own, *fields]).encode() + b"\r\n\r\n"

    async def says(self, sent: bytes) -> bytes:
        return await rest(await self.open(sent))


async def rest(one: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    loop = asyncio.get_running_loop()
    said = b""
    async with asyncio.timeout(WITHIN_S):
        with contextlib.suppress(ConnectionError):
            while piece := await loop.sock_recv(one, 65_536):
                said += piece
    return said


@pytest.fixture
async def attacker(api: ControlApi) -> AsyncIterator[Attacker]:
    async with contextlib.AsyncExitStack() as stack:
        yield Attacker(api, stack)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_its_connection(attacker: Attacker, sent: bytes) -> None:
    assert await rest(await attacker.open(sent)) == b""


async def test_a_head_that_comes_byte_by_byte_ends_its_connection(attacker: Attacker) -> None:
    loop = asyncio.get_running_loop()
    one = await attacker.open(b"GET /healthz HTTP/1.1\r\nX: ")

    async def is_cut() -> bool:
        try:
            await loop.sock_sendall(one, b"x")
            return one.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    await eventually(is_cut, within=WITHIN_S)


async def test_more_half_heads_than_connections_may_be_keep_nobody_out_for_long(
    settings: settings_module.Settings,
) -> None:
    """Also when a head may take long to come: who waits longest makes room."""
    long = settings_module.changed(settings, receive_timeout_ms=120_000, keep_alive_ms=60_000, max_connections=60)
    async with serving(long) as api, contextlib.AsyncExitStack() as stack:
        attacker = Attacker(api, stack)
        for _ in range(200):
            await attacker.open(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ")

        async def is_answered() -> bool:
            return (await api.get("/api/v1/functions")) is not None

        await eventually(is_answered, within=WITHIN_S)


async def test_an_idle_connection_ends_after_its_time(patient: ControlApi) -> None:
    async with contextlib.AsyncExitStack() as stack:
        attacker = Attacker(patient, stack)
        said = await attacker.says(attacker.head("GET /healthz"))
        assert said.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_does_not_come_is_refused_in_the_shape_of_all_errors(
    api: ControlApi, attacker: Attacker
) -> None:
    api.deploy()
    for path in ("/api/v1/functions/hello/invocations", "/api/v1/deployments", "/buckets/photos/a"):
        method = "PUT" if "buckets" in path else "POST"
        said = await attacker.says(attacker.head(f"{method} {path}", "Content-Length: 1000") + b"{")
        assert said.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), said
        assert b'{"error":{"code":' in said
    said = await attacker.says(attacker.head("POST /api/v1/functions/hello/invocations", "Content-Length: 1000") + b"{")
    assert said.startswith(b"HTTP/1.1 408 "), said
    assert b'"code":"too_slow"' in said


async def test_an_answer_that_nobody_reads_ends_its_connection(api: ControlApi, attacker: Attacker) -> None:
    folder = api.settings.data.root / "buckets" / "photos"
    folder.mkdir(parents=True)
    (folder / "large").write_bytes(b"x" * 50_000_000)
    api.functions.activate([], [model.Bucket(name="photos")])
    one = await attacker.open(attacker.head("GET /buckets/photos/large"))

    own, theirs = one.getsockname()[1], one.getpeername()[1]
    await eventually(lambda: _is_open(theirs, own))
    await eventually(lambda: not _is_open(theirs, own), within=WITHIN_S)


async def test_answers_that_nobody_reads_hold_no_more_than_their_share(settings: settings_module.Settings) -> None:
    narrow = settings_module.changed(settings, receive_timeout_ms=120_000, max_connection_bytes=1_048_576)
    async with serving(narrow) as api, contextlib.AsyncExitStack() as stack:
        folder = api.settings.data.root / "buckets" / "photos"
        folder.mkdir(parents=True)
        (folder / "large").write_bytes(b"x" * 50_000_000)
        api.functions.activate([], [model.Bucket(name="photos")])
        attacker = Attacker(api, stack)
        opened = [await attacker.open(attacker.head("GET /buckets/photos/large")) for _ in range(40)]
        ends = [(one.getpeername()[1], one.getsockname()[1]) for one in opened]
        await eventually(lambda: not all(_is_open(*each) for each in ends), within=WITHIN_S)
        assert (await api.get("/api/v1/functions")) is not None


def _is_open(port: int, of: int) -> bool:
    """Whether the server's end of a connection is open: who reads nothing does not hear that it was closed."""
    wanted = f"0100007F:{port:04X} 0100007F:{of:04X} 01 "
    return wanted in Path("/proc/net/tcp").read_text()


@pytest.mark.parametrize("host", ["evil.com", "evil.com:80", "127.0.0.1.evil.com", "localhost.evil.com", ""])
async def test_a_name_that_somebody_else_leads_here_is_refused_with_the_token_too(
    attacker: Attacker, host: str
) -> None:
    for authorized in (True, False):
        sent = attacker.head("GET /api/v1/functions", "Connection: close", host=host, authorized=authorized)
        said = await attacker.says(sent)
        assert said.startswith(b"HTTP/1.1 421 "), said
        assert b'"code":"misdirected"' in said


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "https://127.0.0.1:1", "http://localhost"])
async def test_a_page_of_another_site_is_refused_with_the_token_too(attacker: Attacker, origin: str) -> None:
    for line in ("GET /api/v1/functions", "OPTIONS /api/v1/functions", "POST /api/v1/functions/x/invocations"):
        said = await attacker.says(attacker.head(line, f"Origin: {origin}", "Connection: close"))
        assert said.startswith(b"HTTP/1.1 403 "), said
        assert b"access-control-allow" not in said.lower()


async def test_our_own_names_and_our_own_pages_come_in(api: ControlApi, attacker: Attacker) -> None:
    for host in ("127.0.0.1", "localhost:1", "[::1]:1", "10.0.0.1", socket.gethostname()):
        sent = attacker.head("GET /api/v1/functions", f"Origin: http://{host}", "Connection: close", host=host)
        assert (await attacker.says(sent)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "target_too_long"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431, "head_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),
        (b"BREW / HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHo st: h\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400, "bad_request"),
    ],
)
async def test_what_is_no_request_is_refused_in_the_shape_of_all_errors(
    attacker: Attacker, sent: bytes, status: int, code: str
) -> None:
    head, _, body = (await attacker.says(sent)).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))
    error = msgspec.json.decode(body)["error"]
    assert error["code"] == code
    for word in ("bytearray", "Invalid", "xxxx", "yyyy", "^", "Got more"):
        assert word not in error["message"]


@pytest.mark.parametrize(
    "fields", ["Content-Encoding: gzip\r\nContent-Length: 7", "Content-Encoding: deflate\r\nContent-Length: 7"]
)
async def test_a_body_that_is_not_packed_as_it_says_is_a_bad_request(
    api: ControlApi, attacker: Attacker, fields: str
) -> None:
    api.deploy()
    sent = attacker.head("POST /api/v1/functions/hello/invocations", *fields.split("\r\n"), "Connection: close")
    said = await attacker.says(sent + b"no gzip")
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert b"not packed as its Content-Encoding says" in said


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\nAuthorization: Bearer secret\r\n\r\n",
        b"POST /api/v1/functions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: nothing\r\nConnection: close\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET /nowhere HTTP/1.1\r\nHost: a\r\nExpect: nothing\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_in_the_shape_of_all_errors_and_fills_no_log(
    attacker: Attacker, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    said = await attacker.says(sent)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ", b"HTTP/1.1 401 ", b"HTTP/1.1 417 ")), said
    head, _, body = said.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}\r\n".encode() in head.lower() + b"\r\n"
    assert set(msgspec.json.decode(body)["error"]) >= {"code", "message"}
    assert caplog.text == ""


async def test_who_goes_while_he_is_told_to_go_on_fills_no_log(
    attacker: Attacker, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        sent = attacker.head("POST /api/v1/functions/x/invocations", "Expect: 100-continue", "Content-Length: 9")
        one = await attacker.open(sent)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    assert (await attacker.says(attacker.head("GET /healthz", "Connection: close"))).startswith(b"HTTP/1.1 200 ")
    assert caplog.text == ""
