"""Warm HTTP calls: the platform with and without the hand-off, a bare server, functions-framework and Nuclio.

With many clients only the platform, the bare server and Nuclio are asked: how much they still answer, how many
sandboxes the platform makes for it, and whether it uses them when the handler only waits.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import msgspec

from tests.bench import load, nuclio, peers_home, platform, processes, report, rounds, servers, wanted

FAAS, QUEUED, FRAMEWORK = "faas", "faas, hand-off off", "functions-framework"
BARE, LOWEST = "bare aiohttp application", "aiohttp's lowest layer"
ASLEEP = "256 clients, 50 ms asleep"
_SLEEP_S = 0.05
_SLEEPERS = 256
_CLIENTS = (1, 8, 32, 256, 1_000)
_MANY = 256
_CROWD = 1_000
_CROWD_TIMEOUT_S = 2
_SECONDS, _CROWD_SECONDS = 2, 5
_WARM_UP_S, _MANY_WARM_UP_S, _FIRST_SLEEPERS_S = 3, 1, 10
_GROWN_WITHIN_S = 90
"""Until what sleeps has as many sandboxes as it gets: a few a second are started on two processors."""
_HEARTBEAT_S = 2.5
_CPUS = os.cpu_count() or 1
FIGURES = (
    report.Figure("p50_ms", "p50 ms", 2),
    report.Figure("p99_ms", "p99 ms", 2),
    report.Figure("per_s", "requests/s", 0),
    report.Figure("not_2xx", "% not 2xx", 2, has_spread=False),
    report.Figure("timeouts", "timeouts", 0, has_spread=False),
    report.Figure("sandboxes", "sandboxes", 0),
    report.Figure("share", "of its slots", 2),
)


def _rate(clients: int, against: str, least: float, against_clients: int = 0) -> report.Aim:
    return report.Aim(
        case=wanted.clients(clients),
        contender=FAAS,
        figure="per_s",
        against=against,
        against_case=wanted.clients(against_clients) if against_clients else "",
        least=least,
    )


AIMS = (
    report.Aim(case=wanted.clients(1), contender=FAAS, figure="p50_ms", against=BARE, most=2.0),
    _rate(8, BARE, 0.5),
    _rate(32, BARE, 0.55),
    *(_rate(clients, nuclio.NAME, 1.0) for clients in (1, 8, 32, 256)),
    _rate(256, FAAS, 0.9, 32),
    _rate(1_000, FAAS, 0.8, 32),
    report.Aim(case=wanted.clients(_CROWD), contender=FAAS, figure="timeouts", most=0, always=True),
    *(
        report.Aim(case=wanted.clients(clients), contender=FAAS, figure="sandboxes", most=4 * _CPUS, always=True)
        for clients in (256, 1_000)
    ),
    report.Aim(case=ASLEEP, contender=FAAS, figure="share", least=0.9),
)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load on some of the contenders; ``warm_up_s`` of it come before each measurement."""

    name: str
    clients: int
    seconds: int
    contenders: tuple[str, ...]
    warm_up_s: int = 0
    timeout_s: int = 30


class Started(msgspec.Struct, frozen=True):
    """Where a contender is called, and the platform behind it, if it is one."""

    url: str
    where: platform.Platform | None = None


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about two minutes a round."""
    load.demand()
    samples = []
    with contextlib.ExitStack() as stack:
        started = _start(home, stack, say)
        cases = {case.name: case for case in choose(list(started), asked)}
        asleep = cases.pop(ASLEEP, None)
        for number, name, contender in rounds.product(list(cases), list(started), asked.rounds):
            case = cases[name]
            if contender not in case.contenders:
                continue
            say(f"http: round {number + 1} of {asked.rounds}, {name}, {contender}")
            figures = _measure(started[contender], case)
            samples.append(rounds.Sample(case=name, contender=contender, round=number, figures=figures))
    if asleep:
        samples += _measure_asleep(home, asleep, asked.rounds, say)
    return samples


def _measure_asleep(home: Path, case: Case, count: int, say: Callable[[str], None]) -> list[rounds.Sample]:
    """Samples of the case that is compared with nothing but its own slots.

    They come after all others: tens of sandboxes that start and end would take processor time from what is measured
    next.
    """
    samples = []
    with contextlib.ExitStack() as stack:
        sleeping = _start_sleeping(home, stack, say)
        for number in range(count):
            say(f"http: round {number + 1} of {count}, {case.name}, {FAAS}")
            _grow(sleeping)
            figures = _measure(sleeping, case)
            samples.append(rounds.Sample(case=case.name, contender=FAAS, round=number, figures=figures))
    return samples


def choose(contenders: list[str], asked: wanted.Wanted) -> list[Case]:
    """The cases that are asked for, all when none is."""
    many = tuple(name for name in contenders if name in (BARE, FAAS, nuclio.NAME))
    cases = [_case(clients, contenders, many, asked.seconds) for clients in asked.clients or _CLIENTS]
    if asked.clients and _SLEEPERS not in asked.clients:
        return cases
    return [*cases, _asleep(asked.seconds)]


def _case(clients: int, contenders: list[str], many: tuple[str, ...], seconds: int) -> Case:
    is_crowd = clients >= _CROWD
    return Case(
        name=wanted.clients(clients),
        clients=clients,
        # What waits for more than the timeout is seen only in a run that is longer.
        seconds=max(seconds, _CROWD_SECONDS) if is_crowd else seconds or _SECONDS,
        contenders=tuple(contenders) if clients < _MANY else many,
        warm_up_s=0 if clients < _MANY else _MANY_WARM_UP_S,
        timeout_s=_CROWD_TIMEOUT_S if is_crowd else 30,
    )


def _asleep(seconds: int) -> Case:
    return Case(name=ASLEEP, clients=_SLEEPERS, seconds=seconds or _SECONDS, contenders=(FAAS,), warm_up_s=_WARM_UP_S)


def notes() -> list[str]:
    """What is not measured here."""
    return [] if nuclio.processor() else [nuclio.ABSENT]


def _start(home: Path, stack: contextlib.ExitStack, say: Callable[[str], None]) -> dict[str, Started]:
    commands = peers_home.ensure()
    found = {
        BARE: stack.enter_context(servers.aiohttp_server(home, "application")).url,
        LOWEST: stack.enter_context(servers.aiohttp_server(home, "lowest")).url,
        FRAMEWORK: stack.enter_context(servers.functions_framework(home, commands)).url,
    }
    if built := nuclio.processor():
        found[nuclio.NAME] = stack.enter_context(servers.nuclio_processor(home, built, commands)).url
    started = {name: Started(url) for name, url in found.items()}
    for name, hand_off in ((FAAS, "true"), (QUEUED, "false")):
        say(f"http: starting {name}")
        root = home / f"hand-off-{hand_off}"
        where = stack.enter_context(platform.running(root, platform.FUNCTIONS, hand_off=hand_off))
        started[name] = Started(where.url("greet"), where)
    for name, one in started.items():
        _warm_up(name, one.url, clients=32, seconds=_WARM_UP_S)
    return started


def _start_sleeping(home: Path, stack: contextlib.ExitStack, say: Callable[[str], None]) -> Started:
    """A platform that has nothing else to do, so that its sandboxes are the slots of this one function."""
    say("http: starting a platform for what sleeps")
    where = stack.enter_context(platform.running(home / "sleeping", platform.SLEEPING))
    _warm_up("sleeper", where.url("sleeper"), clients=_SLEEPERS, seconds=_FIRST_SLEEPERS_S)
    return Started(where.url("sleeper"), where)


def _grow(one: Started) -> None:
    """Give a function its load until it has as many sandboxes as it gets."""
    until = time.monotonic() + _GROWN_WITHIN_S
    before, now = -1, 0
    while now > before and time.monotonic() < until:
        load.post(one.url, clients=_SLEEPERS, seconds=_FIRST_SLEEPERS_S)
        before, now = now, _sandboxes_of(one)


def _sandboxes_of(one: Started) -> int:
    """Those that hold a function. A node tells of them with its heartbeat."""
    time.sleep(_HEARTBEAT_S)
    found = one.where.sandboxes() if one.where else {}
    return sum(count for state, count in found.items() if state != "prewarmed")


def _warm_up(name: str, url: str, *, clients: int, seconds: int) -> None:
    """See that it answers what the others answer, then let it start whatever it starts under load."""
    status, _, body = processes.post(url, load.BODY)
    if status != 200 or msgspec.json.decode(body) != servers.ANSWER:
        raise click.ClickException(f"{name} answered {status}: {body[:200].decode(errors='replace')}")
    load.post(url, clients=clients, seconds=seconds)


def _measure(one: Started, case: Case) -> dict[str, float]:
    if case.warm_up_s:
        load.post(one.url, clients=case.clients, seconds=case.warm_up_s)
    run = load.post(one.url, clients=case.clients, seconds=case.seconds, timeout_s=case.timeout_s)
    if one.where is None or case.clients < _MANY:
        return figures(run, case)
    time.sleep(_HEARTBEAT_S)  # a node tells of its sandboxes with its heartbeat
    return figures(run, case, one.where.sandboxes())


def figures(run: load.Run, case: Case, sandboxes: Mapping[str, int] | None = None) -> dict[str, float]:
    """What a run is told as. Where calls are refused for good reasons, that makes no answer wrong."""
    found = {
        "p50_ms": run.p50_us / 1e3,
        "p99_ms": run.p99_us / 1e3,
        "per_s": run.per_s,
        "not_2xx": 100 * run.refused / max(run.answers, 1),
        "timeouts": float(run.timeouts),
        "wrong": float(run.broken + (run.refused if case.clients < _MANY else 0)),
    }
    if sandboxes is None:
        return found
    slots = sum(count for state, count in sandboxes.items() if state != "prewarmed")
    share = {"share": run.per_s * _SLEEP_S / slots} if case.name == ASLEEP and slots else {}
    return {**found, "sandboxes": float(slots), **share}
