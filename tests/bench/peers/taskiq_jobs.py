"""An empty job of taskiq on its broker that acknowledges. As a program: COUNT, enqueues so many and prints the rate.

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


async def _enqueue(count: int) -> float:
    await broker.startup()
    began = time.monotonic()

    async def client() -> None:
        for _ in range(count // _CLIENTS):
            await noop.kiq()

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    rate = count // _CLIENTS * _CLIENTS / (time.monotonic() - began)
    await broker.shutdown()
    return rate


if __name__ == "__main__":
    print(asyncio.run(_enqueue(int(sys.argv[1]))))
