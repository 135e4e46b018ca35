"""An empty job of taskiq on its broker that acknowledges. As a program: COUNT, enqueues so many and prints two numbers:
jobs per second, and the processor time of all in microseconds.

The broker's URL and stream come from the environment (BENCH_URL, BENCH_QUEUE), because a worker only gets a module.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from taskiq_redis import RedisStreamBroker

_CLIENTS = 32

broker = RedisStreamBroker(
    os.environ["BENCH_URL"], queue_name=os.environ["BENCH_QUEUE"], consumer_group_name="bench", consumer_id="0"
)


@broker.task(task_name="noop")
async def noop() -> None:
    """Do nothing."""


async def _enqueue(count: int) -> str:
    await broker.startup()
    began, used = time.monotonic(), time.process_time()

    async def client() -> None:
        for _ in range(count // _CLIENTS):
            await noop.kiq()

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    rate = count // _CLIENTS * _CLIENTS / (time.monotonic() - began)
    us = (time.process_time() - used) * 1e6
    await broker.shutdown()
    return f"{rate} {us}"


if __name__ == "__main__":
    print(asyncio.run(_enqueue(int(sys.argv[1]))))
