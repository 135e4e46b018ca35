"""An empty job of RQ. As a program: URL QUEUE COUNT, enqueues so many and prints two numbers: jobs per second, and
the processor time of all in microseconds."""

from __future__ import annotations

import sys
import time


def noop() -> None:
    """Do nothing."""


def _enqueue(url: str, queue: str, count: int) -> str:
    import redis
    import rq

    jobs = rq.Queue(queue, connection=redis.Redis.from_url(url))
    began, used = time.monotonic(), time.process_time()
    for _ in range(count):
        jobs.enqueue("rq_jobs.noop")
    return f"{count / (time.monotonic() - began)} {(time.process_time() - used) * 1e6}"


if __name__ == "__main__":
    print(_enqueue(sys.argv[1], sys.argv[2], int(sys.argv[3])))
