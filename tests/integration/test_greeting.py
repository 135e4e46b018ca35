"""From a start to `ready`: what a start that is given up leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from runners.sandbox import base, greeting
from tests import agent_harness

# What gVisor answers to a descriptor that is to leave: EINVAL.
NOTHING_LEAVES = """
import errno, os, runpy, socket, sys
def refused(sock, parts, ancillary=()):
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
socket.socket.sendmsg = refused
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


async def _is_running() -> bool:
    return True


async def _give_up(path: str) -> int:
    """Wait for an agent that never comes; the number that the listener had."""
    launched = asyncio.get_running_loop().create_future()
    launched.set_result(None)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.setblocking(False)
        listener.bind(path)
        listener.listen(1)
        number = listener.fileno()
        try:
            await greeting.greet(listener, launched, _is_running)
        except asyncio.CancelledError:
            return number
    raise AssertionError("nobody greeted")


async def _watch_the_same_number(path: str) -> None:
    """Give a start up and, in the same turn of the loop, await something else by the number of its listener."""
    number = await _give_up(path)
    reading, writing = os.pipe()
    os.dup2(reading, number)
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(number, told.set)
    os.write(writing, b"x")
    try:
        await asyncio.wait_for(told.wait(), 20)
    finally:
        asyncio.get_running_loop().remove_reader(number)
        for descriptor in {reading, writing, number}:
            os.close(descriptor)


async def _cancelled_soon(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    for _ in range(5):  # until it waits for a connection
        await asyncio.sleep(0)
    task.cancel()
    await task


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_number_of_a_listener_that_was_given_up_can_be_awaited_as_another(run: Any, tmp_path: Path) -> None:
    run(_cancelled_soon(_watch_the_same_number(str(tmp_path / "s"))))


async def test_a_greeting_that_is_given_up_says_nothing_to_the_loop(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    giving_up = asyncio.ensure_future(_give_up(str(tmp_path / "s")))
    for _ in range(5):
        await asyncio.sleep(0)
    giving_up.cancel()
    await giving_up
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert said == []


async def _greeted(tmp_path: Path, *command: str) -> tuple[greeting.Greeted, asyncio.subprocess.Process]:
    """The greeting of a program, and the program; it is ended when it does not greet."""
    launched = asyncio.get_running_loop().create_future()
    launched.set_result(None)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.setblocking(False)
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)

        async def is_running() -> bool:
            return process.returncode is None

        try:
            return await greeting.greet(listener, launched, is_running), process
        except BaseException:
            process.kill()
            await process.wait()
            raise


async def test_an_agent_out_of_which_no_descriptor_comes_is_lent_a_pipe_for_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-B", "-c", NOTHING_LEAVES, str(agent_harness.AGENT), str(tmp_path)]
    greeted, process = await _greeted(tmp_path, *command)
    # A header that is no JSON ends the agent, which says why where its output goes.
    greeted.sock.sendall(struct.pack(">II", 3, 0) + b"???")
    assert await asyncio.wait_for(process.wait(), 60) == 70
    with os.fdopen(os.dup(greeted.pipe), "rb") as output:
        assert b"JSONDecodeError" in await asyncio.to_thread(output.read)
    greeted.close()


async def test_an_agent_that_wants_what_there_is_not_is_none(tmp_path: Path) -> None:
    says = b'{"t":"ready","pid":1,"wants":"everything"}'
    frame = struct.pack(">II", len(says), 0) + says
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(tmp_path / 's')!r}); s.sendall({frame!r})"
    with pytest.raises(base.SandboxLost, match="its first frame is not `ready` with one pipe"):
        await _greeted(tmp_path, sys.executable, "-c", f"{code}; s.recv(1)")
