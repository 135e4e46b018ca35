"""How the tree of processes ends what watches over it."""

from __future__ import annotations

import asyncio
import contextlib

from faas.cli import supervisor


async def test_a_task_that_overhears_its_first_cancel_is_ended_all_the_same() -> None:
    heard = 0

    async def deaf() -> None:
        nonlocal heard
        while heard < 1:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
            heard += 1
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await supervisor.ended(task)
    assert task.cancelled()
    assert heard == 1
