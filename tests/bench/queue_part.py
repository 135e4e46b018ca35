"""Empty async jobs: how fast they are accepted and done, and at what processor time, beside RQ and taskiq.

The platform accepts over HTTP, one by one or by batches, and runs each job in a container; a job is done when its
record is in the ledger. The others enqueue from one Python process, and run jobs in their own worker processes; what
they know of a job afterwards is what they keep by default. Their time is that of the server, of the process that
enqueues and of the worker, without the starts of these two.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import click
import redis

from faas.core import ids, model, settings
from faas.queue import invocations
from faas.valkey import embedded
from tests.bench import cpu_part, cpu_time, load, peers_home, platform, processes, report, rounds, wanted

FAAS, BATCHED = "faas", "faas, by batches"
RQ, RQ_SIMPLE, TASKIQ = "rq worker", "rq SimpleWorker", "taskiq worker"
_CASE = "empty jobs"
_CLIENTS = 32
_SECONDS = 2
_FAAS_JOBS = 16_000
_RQ_JOBS = 100
_RQ_SIMPLE_JOBS = 300
_TASKIQ_JOBS = 8_000
_WITHIN_S = 60
_STEP_S = 0.02
_LOOK_EVERY_S = 0.25
_BATCH = 100
_BATCH_CLIENTS = 4
_BATCH_SECONDS = 1
FIGURES = (
    report.Figure("enqueued_per_s", "enqueued/s", 0),
    report.Figure("drained_per_s", "drained/s", 0),
    report.Figure("cpu_us", "CPU of a job, µs", 0),
    report.Figure("jobs", "jobs a round", 0, has_spread=False),
)
AIMS = (
    report.Aim(case=_CASE, contender=FAAS, figure="drained_per_s", against=TASKIQ, least=1.5),
    report.Aim(case=_CASE, contender=FAAS, figure="enqueued_per_s", against=TASKIQ, least=1.0),
    report.Aim(case=_CASE, contender=BATCHED, figure="enqueued_per_s", against=TASKIQ, least=3.0),
)


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about half a minute a round."""
    load.demand()
    commands = peers_home.ensure()
    seconds = asked.seconds or _SECONDS
    with contextlib.ExitStack() as stack:
        say("queue: starting the platform")
        ours = Ours(stack.enter_context(platform.running(home / "faas", platform.FUNCTIONS)), stack)
        url, pid = stack.enter_context(_server(home / "redis"))
        peers = Peers(url, pid, home, commands)
        contenders: dict[str, Callable[[str], dict[str, float]]] = {
            FAAS: lambda queue: ours.one_by_one(seconds),
            BATCHED: lambda queue: ours.by_batches(home),
            RQ: lambda queue: peers.rq(queue, _RQ_JOBS, "rq.worker.Worker"),
            RQ_SIMPLE: lambda queue: peers.rq(queue, _RQ_SIMPLE_JOBS, "rq.worker.SimpleWorker"),
            TASKIQ: lambda queue: peers.taskiq(queue, _TASKIQ_JOBS),
        }
        ours.warm_up()
        samples = []
        for number, name in rounds.turns(list(contenders), asked.rounds):
            say(f"queue: round {number + 1} of {asked.rounds}, {name}")
            figures = contenders[name](f"{name.replace(' ', '-')}-{number}")
            samples.append(rounds.Sample(case=_CASE, contender=name, round=number, figures=figures))
    return samples


def notes() -> list[str]:
    """Nothing is left out here."""
    return []


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[tuple[str, int]]:
    """The URL and the process of a server of the kind that the platform starts for itself, append-only file on."""
    server = embedded.EmbeddedServer(folder)
    url = asyncio.run(server.start())
    try:
        yield url, server.pid or 0
    finally:
        asyncio.run(server.stop())


class Ours:
    """The platform. Before each measurement its ledger has all that was accepted."""

    def __init__(self, where: platform.Platform, stack: contextlib.ExitStack) -> None:
        self._where = where
        containers = stack.enter_context(contextlib.closing(cpu_time.Containers(where.root)))
        self._meter = cpu_part.Meter(where, containers)

    def warm_up(self) -> None:
        """Let it start whatever it starts under load."""
        load.post(self._where.url("noop"), clients=_CLIENTS, seconds=_SECONDS)
        self._finish()

    def one_by_one(self, seconds: int) -> dict[str, float]:
        """202s under load for some seconds; then a backlog made past the gateway, faster than it can be drained."""
        used = self._meter.us()
        headers = {"Faas-Invocation-Type": "async"}
        run = load.post(self._where.url("noop"), clients=_CLIENTS, seconds=seconds, headers=headers)
        before = self._finish()
        cpu_us = sum(cpu_time.spent(used, self._meter.us()).values()) / max(run.good, 1)
        asyncio.run(_enqueue(self._where.redis_url, self._where.revision("noop"), _FAAS_JOBS))
        drained = rounds.rate(_watched(lambda: self._where.recorded("noop") - before, lambda: _FAAS_JOBS))
        wrong = float(run.refused + run.broken)
        figures = {"enqueued_per_s": run.per_s, "drained_per_s": drained, "cpu_us": cpu_us}
        return {**figures, "jobs": _FAAS_JOBS, "wrong": wrong}

    def by_batches(self, home: Path) -> dict[str, float]:
        """202s for batches of events, and all of these drained."""
        body = home / "batch.json"
        body.write_bytes(b"[" + b", ".join([load.BODY] * _BATCH) + b"]")
        used = self._meter.us()
        run = load.post(
            self._where.batch_url("noop"),
            clients=_BATCH_CLIENTS,
            seconds=_BATCH_SECONDS,
            headers=self._where.authorization,
            body=body,
        )
        self._finish()
        cpu_us = sum(cpu_time.spent(used, self._meter.us()).values()) / max(run.good * _BATCH, 1)
        figures = {"enqueued_per_s": run.per_s * _BATCH, "cpu_us": cpu_us, "jobs": float(run.good * _BATCH)}
        return {**figures, "wrong": float(run.refused + run.broken)}

    def _finish(self) -> int:
        """Return when the ledger has a record of all that was accepted; how many."""
        accepted = self._where.places("noop")["accepted"]
        _watched(lambda: self._where.recorded("noop"), lambda: accepted, step_s=_LOOK_EVERY_S)
        return accepted


async def _enqueue(redis_url: str, revision: int, jobs: int) -> None:
    """What the gateway does for each async call after it has read the request."""
    queue = await invocations.Queue.connect(redis_url, settings.Settings().redis.redis_prefix)
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

    def __init__(self, url: str, pid: int, home: Path, commands: Path) -> None:
        self._url = url
        self._pid = pid
        self._home = home
        self._commands = commands
        self._redis = redis.Redis.from_url(url)

    def rq(self, queue: str, jobs: int, worker: str) -> dict[str, float]:
        """`rq worker` with the given class; done is what its registry of finished jobs holds."""
        script = str(peers_home.SOURCES / "rq_jobs.py")
        enqueued = self._enqueue([sys.executable, script, self._url, queue, str(jobs)], jobs, {})
        command = [peers_home.own_command("rq"), "worker", "--url", self._url, "--worker-class", worker, queue]
        return _together(enqueued, self._drain(command, lambda: self._finished(queue), jobs, {}), jobs)

    def taskiq(self, queue: str, jobs: int) -> dict[str, float]:
        """`taskiq worker` with its defaults on the broker that acknowledges."""
        env = {"BENCH_URL": self._url, "BENCH_QUEUE": queue}
        script = str(peers_home.SOURCES / "taskiq_jobs.py")
        enqueued = self._enqueue([str(self._commands / "python"), script, str(jobs)], jobs, env)
        command = [str(self._commands / "taskiq"), "worker", "taskiq_jobs:broker"]
        return _together(enqueued, self._drain(command, lambda: self._acknowledged(queue), jobs, env), jobs)

    def _enqueue(self, command: Sequence[str], jobs: int, env: dict[str, str]) -> Pace:
        """By a script that prints jobs per second, and the microseconds that it used for them."""
        server = cpu_time.Tree({self._pid: "redis"})
        used = server.us()
        per_s, own_us = processes.output(command, env=processes.environ(**env)).split()
        return Pace(float(per_s), (float(own_us) + cpu_time.spent(used, server.us())["redis"]) / jobs)

    def _drain(self, command: Sequence[str], done: Callable[[], int], jobs: int, env: dict[str, str]) -> Pace:
        log = self._home / "worker.log"
        with processes.running(command, log, cwd=peers_home.SOURCES, env=processes.environ(**env)) as worker:
            meter = cpu_time.Tree({self._pid: "redis", worker.pid: "worker"})
            _watched(done, lambda: 1)
            first, used = done(), meter.us()
            progress = _watched(done, lambda: jobs)
            us = sum(cpu_time.spent(used, meter.us()).values())
            return Pace(rounds.rate(progress), us / max(jobs - first, 1))

    def _finished(self, queue: str) -> int:
        return int(self._redis.zcard(f"rq:finished:{queue}"))

    def _acknowledged(self, stream: str) -> int:
        groups = cast(list[dict[str, int]], self._redis.xinfo_groups(stream))
        return int(groups[0]["entries-read"] or 0) - int(groups[0]["pending"])


class Pace(NamedTuple):
    """Jobs per second, and microseconds of processor time for each."""

    per_s: float
    us: float


def _together(enqueued: Pace, drained: Pace, jobs: int) -> dict[str, float]:
    pace = {"enqueued_per_s": enqueued.per_s, "drained_per_s": drained.per_s}
    return {**pace, "cpu_us": enqueued.us + drained.us, "jobs": float(jobs)}


def _watched(done: Callable[[], int], total: Callable[[], int], *, step_s: float = _STEP_S) -> list[rounds.Progress]:
    """How much was done, moment by moment, until all was."""
    end = time.monotonic() + _WITHIN_S
    progress = []
    while time.monotonic() < end:
        progress.append(rounds.Progress(time.monotonic(), done()))
        if progress[-1].done >= total():
            return progress
        time.sleep(step_s)
    raise click.ClickException(f"only {progress[-1].done} of {total()} jobs were done within {_WITHIN_S} s")
