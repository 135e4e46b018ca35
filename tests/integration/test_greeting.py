"""From a start to `ready`: what a start that is given up leaves behind."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from runners.sandbox import greeting


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
