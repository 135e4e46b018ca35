"""Processor time of a call and of an async job, over all processes of the platform, beside a bare server's.

Time counts until the ledger has every record of the calls, so the recorder's work is in it. What makes the load is no
part of either, and its own time does not count. Who knows no async jobs gets plain calls in their place.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import click

from tests.bench import cpu_time, load, nuclio, peers_home, platform, report, rounds, servers, wanted

FAAS, BARE = "faas", "bare aiohttp application"
JOBS = "async jobs"
FUNCTION = "greet"
_CLIENTS = (1, 8, 32, 256)
_JOB_CLIENTS = 32
_SECONDS = 3
_WARM_UP_S = 3
_RECORDED_WITHIN_S = 60
_LOOK_EVERY_S = 0.25
"""Looking costs the control API some milliseconds, which count."""
_PARTS = ("node", "redis", cpu_time.AGENTS, "recorder", "api", "scheduler", "builder", "up")
FIGURES = (
    report.Figure("all_us", "all, µs", 0),
    report.Figure("all_us", "x bare", 1, against=BARE),
    *(report.Figure(f"{name}_us", name, 0, has_spread=False) for name in _PARTS),
)
AIMS = (
    report.Aim(case=wanted.clients(32), contender=FAAS, figure="all_us", against=BARE, most=3.0),
    # Half of the 11 that it was when every hand-off went through Redis too.
    report.Aim(case=JOBS, contender=FAAS, figure="all_us", against=BARE, most=5.5),
)


class Contender(Protocol):
    """What is called, and whose time is read."""

    url: str
    meter: cpu_time.Meter

    def recorded(self) -> int:
        """How many records there are of what was called."""

    def finish(self, records: int) -> None:
        """Return when there are so many."""


class Bare:
    """A server that records nothing."""

    def __init__(self, server: servers.Server) -> None:
        self.url = server.url
        self.meter: cpu_time.Meter = cpu_time.Tree({server.pid: "server"})

    def recorded(self) -> int:
        """None."""
        return 0

    def finish(self, records: int) -> None:
        """It has."""


class Faas:
    """A platform; its time is told by process, and the agents' by container."""

    def __init__(self, where: platform.Platform, containers: cpu_time.Containers) -> None:
        self.url = where.url(FUNCTION)
        self.meter: cpu_time.Meter = Meter(where, containers)
        self._where = where

    def recorded(self) -> int:
        """All that is in the ledger when nothing more comes."""
        seen = -1
        while seen != (now := self._where.recorded(FUNCTION)):
            seen = now
            time.sleep(_LOOK_EVERY_S)
        return seen

    def finish(self, records: int) -> None:
        """Look for them in the ledger now and then."""
        end = time.monotonic() + _RECORDED_WITHIN_S
        while time.monotonic() < end:
            time.sleep(_LOOK_EVERY_S)
            if self._where.recorded(FUNCTION) >= records:
                return
        raise click.ClickException(f"{FUNCTION}: {records} records: not within {_RECORDED_WITHIN_S} s")


class Meter:
    """The time of all processes of a platform and of all its containers."""

    def __init__(self, where: platform.Platform, containers: cpu_time.Containers) -> None:
        self._where = where
        self._containers = containers

    def us(self) -> dict[str, float]:
        """By the names of `faas up`; nodes count together."""
        return {**cpu_time.Tree(self._where.processes()).us(), **self._containers.us()}


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about half a minute a round."""
    load.demand()
    seconds = asked.seconds or _SECONDS
    cases = {wanted.clients(count): count for count in asked.clients or _CLIENTS}
    samples = []
    with contextlib.ExitStack() as stack:
        contenders = _start(home, asked.nodes, stack, say)
        for number, case, name in rounds.product([*cases, JOBS], list(contenders), asked.rounds):
            say(f"cpu: round {number + 1} of {asked.rounds}, {case}, {name}")
            headers = {"Faas-Invocation-Type": "async"} if case == JOBS else {}
            figures = _figures(contenders[name], cases.get(case, _JOB_CLIENTS), seconds, headers)
            samples.append(rounds.Sample(case=case, contender=name, round=number, figures=figures))
    return samples


def _start(
    home: Path, nodes: tuple[int, ...], stack: contextlib.ExitStack, say: Callable[[str], None]
) -> dict[str, Contender]:
    contenders: dict[str, Contender] = {BARE: Bare(stack.enter_context(servers.aiohttp_server(home, "application")))}
    if built := nuclio.processor():
        processor = servers.nuclio_processor(home, built, peers_home.ensure())
        contenders[nuclio.NAME] = Bare(stack.enter_context(processor))
    for name, settings in platforms(nodes).items():
        say(f"cpu: starting {name}")
        root = home / name.replace(" ", "-")
        where = stack.enter_context(platform.running(root, platform.FUNCTIONS, **settings))
        contenders[name] = Faas(where, stack.enter_context(contextlib.closing(cpu_time.Containers(root))))
    for contender in contenders.values():
        load.post(contender.url, clients=_JOB_CLIENTS, seconds=_WARM_UP_S)
    return contenders


def notes() -> list[str]:
    """What is not measured here."""
    return [] if nuclio.processor() else [nuclio.ABSENT]


def platforms(nodes: tuple[int, ...]) -> dict[str, dict[str, str]]:
    """The platforms to compare, by name, with their settings."""
    if not nodes:
        return {FAAS: {}}
    return {FAAS if count == 1 else f"{FAAS}, {count} nodes": {"nodes": str(count)} for count in nodes}


def _figures(contender: Contender, clients: int, seconds: int, headers: Mapping[str, str]) -> dict[str, float]:
    before = contender.recorded()
    used = contender.meter.us()
    run = load.post(contender.url, clients=clients, seconds=seconds, headers=headers)
    contender.finish(before + run.good)
    return per_call(cpu_time.spent(used, contender.meter.us()), run)


def per_call(us: Mapping[str, float], run: load.Run) -> dict[str, float]:
    """Microseconds of each name, and of all together, for each good answer."""
    if not run.good:
        raise click.ClickException("no call was answered well")
    each = {f"{name}_us": value / run.good for name, value in us.items()}
    return {"all_us": sum(us.values()) / run.good, **each, "wrong": float(run.refused + run.broken)}
