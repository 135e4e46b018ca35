"""Sandboxes that call home: who is let in, and who is turned away without costing anything."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runners.sandbox import base, door, greeting
from tests.eventually import eventually


@pytest.fixture
async def home() -> AsyncIterator[door.Door]:
    made = door.Door.open("127.0.0.1")
    yield made
    await made.close()
    await made.close()


def ready(word: str, **more: Any) -> bytes:
    data = json.dumps({"t": "ready", "pid": 1, "token": word, **more}).encode()
    return struct.pack(">II", len(data), 0) + data


async def is_turned_away(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), 10) == b""
    except ConnectionResetError:
        return True


async def met(expected: door.Expected) -> greeting.Greeted:
    launched = asyncio.get_running_loop().create_future()
    launched.set_result(None)

    async def is_running() -> bool:
        return True

    return await greeting.meet(expected.greeted, launched, is_running)


async def test_each_caller_is_known_by_its_word_however_it_comes(home: door.Door) -> None:
    first, second = (socket.create_connection(home.address) for _ in range(2))
    with home.expecting() as one, home.expecting() as other, first, second:
        for byte in ready(other.word, objects=["stream"]):
            second.send(bytes([byte]))
            await asyncio.sleep(0)
        first.send(ready(one.word))
        greeted = await met(one), await met(other)
        assert greeted[0].sock.getpeername() == first.getsockname()
        assert greeted[1].sock.getpeername() == second.getsockname()
        assert (greeted[0].pipe, greeted[1].says.objects) == (None, ("stream",))
        for each in greeted:
            each.close()


@pytest.mark.parametrize(
    "said",
    [
        ready("a word that nobody was given"),
        ready(""),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">II", 1 << 31, 0),
        struct.pack(">II", 2, 1 << 20) + b"{}",
        struct.pack(">II", 13, 0) + b'{"t":"loaded"',
    ],
)
async def test_whoever_says_anything_else_is_turned_away(home: door.Door, said: bytes) -> None:
    with home.expecting() as expected:
        with socket.create_connection(home.address) as sock:
            sock.send(said)
            assert await is_turned_away(sock)
        assert not expected.greeted.done()


async def test_a_word_is_good_for_one_call(home: door.Door) -> None:
    first, second = (socket.create_connection(home.address) for _ in range(2))
    with home.expecting() as expected, first, second:
        first.send(ready(expected.word))
        greeted = await met(expected)
        second.send(ready(expected.word))
        assert await is_turned_away(second)
        greeted.close()


async def test_a_sandbox_that_was_given_up_is_not_let_in_and_leaves_nothing(home: door.Door) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with home.expecting() as expected:
        pass
    with socket.create_connection(home.address) as sock:
        sock.send(ready(expected.word))
        assert await is_turned_away(sock)
    with home.expecting() as late:
        late.greeted.cancel()
        with socket.create_connection(home.address) as sock:
            sock.send(ready(late.word))
            assert await is_turned_away(sock)
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_who_says_nothing_is_turned_away_in_time(home: door.Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HEARD_WITHIN_S", 0.1)
    with socket.create_connection(home.address) as silent, socket.create_connection(home.address) as slow:
        slow.send(ready("x")[:10])
        assert await is_turned_away(silent)
        assert await is_turned_away(slow)


async def test_too_many_who_say_nothing_keep_nobody_out_for_longer_than_they_are_heard(
    home: door.Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HEARD_WITHIN_S", 0.3)
    monkeypatch.setattr(door, "MAX_UNHEARD", 3)
    silent = [socket.create_connection(home.address) for _ in range(3)]
    await asyncio.sleep(0)
    with socket.create_connection(home.address) as sock:
        assert await is_turned_away(sock)
    for each in silent:
        assert await is_turned_away(each)
        each.close()
    with home.expecting() as expected, socket.create_connection(home.address) as sock:
        sock.send(ready(expected.word))
        (await met(expected)).close()


async def test_a_sandbox_that_ends_before_it_calls_is_lost(home: door.Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "LOOK_EVERY_S", 0.05)
    launched = asyncio.get_running_loop().create_future()
    launched.set_result(None)

    async def is_running() -> bool:
        return False

    with home.expecting() as expected:
        with pytest.raises(base.SandboxLost, match="ended before"):
            await greeting.meet(expected.greeted, launched, is_running)
        assert expected.greeted.cancelled()


async def test_an_address_that_is_not_of_this_machine_is_said() -> None:
    with pytest.raises(base.EngineUnavailable, match=r"cannot call at 192\.0\.2\.1:0"):
        door.Door.open("192.0.2.1")
