"""An empty job of RQ. As a program: URL QUEUE COUNT, enqueues so many and prints the jobs per second."""

from __future__ import annotations

import sys
import time


def noop() -> None:
    """Do nothing."""


def _enqueue(url: str, queue: str, count: int) -> float:
    import redis
    import rq

    jobs = rq.Queue(queue, connection=redis.Redis.from_url(url))
    began = time.monotonic()
    for _ in range(count):
        jobs.enqueue("rq_jobs.noop")
    return count / (time.monotonic() - began)


if __name__ == "__main__":
    print(_enqueue(sys.argv[1], sys.argv[2], int(sys.argv[3])))
