"""Empty async jobs: how fast they are accepted, and how fast they are done, beside RQ and taskiq.

The platform accepts over HTTP and runs each job in a container; a job is done when its record is in the ledger. The
others enqueue from one Python process, and run jobs in their own worker processes; what they know of a job afterwards
is what they keep by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import click
import redis

from faas.core import ids, model, settings
from faas.queue import embedded, invocations
from tests.bench import load, peers_home, platform, processes, report, rounds, wanted

FAAS, RQ, RQ_SIMPLE, TASKIQ = "faas", "rq worker", "rq SimpleWorker", "taskiq worker"
_CASE = "empty jobs"
_CLIENTS = 32
_SECONDS = 2
_FAAS_JOBS = 16_000
_RQ_JOBS = 100
_RQ_SIMPLE_JOBS = 300
_TASKIQ_JOBS = 8_000
_WITHIN_S = 60
_STEP_S = 0.02
FIGURES = (
    report.Figure("enqueued_per_s", "enqueued/s", 0),
    report.Figure("drained_per_s", "drained/s", 0),
    report.Figure("jobs", "jobs a round", 0),
)
AIMS = (report.Aim(case=_CASE, contender=FAAS, figure="drained_per_s", against=TASKIQ, least=1.0),)


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about half a minute a round."""
    load.demand()
    commands = peers_home.ensure()
    with contextlib.ExitStack() as stack:
        say("queue: starting the platform")
        faas = stack.enter_context(platform.running(home / "faas", platform.FUNCTIONS))
        url = stack.enter_context(_server(home / "redis"))
        peers = Peers(url, home, commands)
        contenders: dict[str, Callable[[str], dict[str, float]]] = {
            FAAS: lambda queue: _faas(faas),
            RQ: lambda queue: peers.rq(queue, _RQ_JOBS, "rq.worker.Worker"),
            RQ_SIMPLE: lambda queue: peers.rq(queue, _RQ_SIMPLE_JOBS, "rq.worker.SimpleWorker"),
            TASKIQ: lambda queue: peers.taskiq(queue, _TASKIQ_JOBS),
        }
        load.post(faas.url("noop"), clients=_CLIENTS, seconds=_SECONDS)
        samples = []
        for number, name in rounds.turns(list(contenders), asked.rounds):
            say(f"queue: round {number + 1} of {asked.rounds}, {name}")
            figures = contenders[name](f"{name.replace(' ', '-')}-{number}")
            samples.append(rounds.Sample(case=_CASE, contender=name, round=number, figures=figures))
    return samples


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A server of the kind that the platform starts for itself, append-only file on."""
    server = embedded.EmbeddedServer(folder)
    url = asyncio.run(server.start())
    try:
        yield url
    finally:
        asyncio.run(server.stop())


def _faas(where: platform.Platform) -> dict[str, float]:
    """202s under load for some seconds; then a backlog made past the gateway, faster than it can be drained."""
    run = load.post(where.url("noop"), clients=_CLIENTS, seconds=_SECONDS, headers={"Faas-Invocation-Type": "async"})
    before = where.places("noop")["accepted"]
    _watched(lambda: where.recorded("noop"), lambda: before)
    asyncio.run(_enqueue(where.redis_url, where.revision("noop"), _FAAS_JOBS))
    drained = rounds.rate(_watched(lambda: where.recorded("noop") - before, lambda: _FAAS_JOBS))
    wrong = float(run.refused + run.broken)
    return {"enqueued_per_s": run.per_s, "drained_per_s": drained, "jobs": _FAAS_JOBS, "wrong": wrong}


async def _enqueue(redis_url: str, revision: int, jobs: int) -> None:
    """What the gateway does for each async call after it has read the request."""
    queue = await invocations.Queue.connect(redis_url, settings.Settings().redis_prefix)
    try:
        async with asyncio.TaskGroup() as clients:
            for _ in range(_CLIENTS):
                clients.create_task(_enqueue_some(queue, revision, jobs // _CLIENTS))
    finally:
        queue.close()


async def _enqueue_some(queue: invocations.Queue, revision: int, jobs: int) -> None:
    for _ in range(jobs):
        job = model.Invocation(
            id=ids.new_id(),
            function="noop",
            revision=revision,
            trigger="http",
            mode=model.Mode.ASYNC,
            event=load.BODY,
            accepted_at_ms=time.time_ns() // 1_000_000,
        )
        await queue.enqueue(job)


class Peers:
    """RQ and taskiq on one server; each call uses a queue of its own and starts the worker when all jobs wait."""

    def __init__(self, url: str, home: Path, commands: Path) -> None:
        self._url = url
        self._home = home
        self._commands = commands
        self._redis = redis.Redis.from_url(url)

    def rq(self, queue: str, jobs: int, worker: str) -> dict[str, float]:
        """`rq worker` with the given class; done is what its registry of finished jobs holds."""
        script = str(peers_home.SOURCES / "rq_jobs.py")
        enqueued = float(processes.output([sys.executable, script, self._url, queue, str(jobs)]))
        command = [peers_home.own_command("rq"), "worker", "--url", self._url, "--worker-class", worker, queue]
        drained = self._drain(command, lambda: self._finished(queue), jobs, {})
        return {"enqueued_per_s": enqueued, "drained_per_s": drained, "jobs": jobs}

    def taskiq(self, queue: str, jobs: int) -> dict[str, float]:
        """`taskiq worker`; done is what its consumer group has read and acknowledged."""
        env = {"BENCH_URL": self._url, "BENCH_QUEUE": queue}
        script = str(peers_home.SOURCES / "taskiq_jobs.py")
        python = str(self._commands / "python")
        enqueued = float(processes.output([python, script, str(jobs)], env=processes.environ(**env)))
        command = [str(self._commands / "taskiq"), "worker", "taskiq_jobs:broker"]
        drained = self._drain(command, lambda: self._acknowledged(queue), jobs, env)
        return {"enqueued_per_s": enqueued, "drained_per_s": drained, "jobs": jobs}

    def _drain(self, command: Sequence[str], done: Callable[[], int], jobs: int, env: dict[str, str]) -> float:
        log = self._home / "worker.log"
        with processes.running(command, log, cwd=peers_home.SOURCES, env=processes.environ(**env)):
            return rounds.rate(_watched(done, lambda: jobs))

    def _finished(self, queue: str) -> int:
        return int(self._redis.zcard(f"rq:finished:{queue}"))

    def _acknowledged(self, stream: str) -> int:
        groups = cast(list[dict[str, int]], self._redis.xinfo_groups(stream))
        return int(groups[0]["entries-read"] or 0) - int(groups[0]["pending"])


def _watched(done: Callable[[], int], total: Callable[[], int]) -> list[rounds.Progress]:
    """How much was done, moment by moment, until all was."""
    end = time.monotonic() + _WITHIN_S
    progress = []
    while time.monotonic() < end:
        progress.append(rounds.Progress(time.monotonic(), done()))
        if progress[-1].done >= total():
            return progress
        time.sleep(_STEP_S)
    raise click.ClickException(f"only {progress[-1].done} of {total()} jobs were done within {_WITHIN_S} s")
