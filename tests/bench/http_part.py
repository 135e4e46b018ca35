"""Warm HTTP calls: the platform with and without the hand-off, a bare server, and functions-framework."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from tests.bench import load, peers_home, platform, processes, report, rounds, servers, wanted

FAAS, QUEUED, FRAMEWORK = "faas", "faas, hand-off off", "functions-framework"
BARE, LOWEST = "bare aiohttp application", "aiohttp's lowest layer"
_CLIENTS = (1, 8, 32)
_SECONDS = 2
_WARM_UP_S = 3
FIGURES = (
    report.Figure("p50_ms", "p50 ms", 2),
    report.Figure("p99_ms", "p99 ms", 2),
    report.Figure("per_s", "requests/s", 0),
)
AIMS = (
    report.Aim(case="1 client", contender=FAAS, figure="p50_ms", against=BARE, most=3.0),
    report.Aim(case="32 clients", contender=FAAS, figure="per_s", against=BARE, least=0.45),
)


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about half a minute a round."""
    load.demand()
    samples = []
    with contextlib.ExitStack() as stack:
        urls = _start(home, stack, say)
        for number, case, contender in rounds.product(
            [_case(clients) for clients in _CLIENTS], list(urls), asked.rounds
        ):
            say(f"http: round {number + 1} of {asked.rounds}, {case}, {contender}")
            clients = next(clients for clients in _CLIENTS if _case(clients) == case)
            run = load.post(urls[contender], clients=clients, seconds=_SECONDS)
            samples.append(rounds.Sample(case=case, contender=contender, round=number, figures=_figures(run)))
    return samples


def _case(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def _start(home: Path, stack: contextlib.ExitStack, say: Callable[[str], None]) -> dict[str, str]:
    commands = peers_home.ensure()
    urls = {
        BARE: stack.enter_context(servers.aiohttp_server(home, "application")).url,
        LOWEST: stack.enter_context(servers.aiohttp_server(home, "lowest")).url,
        FRAMEWORK: stack.enter_context(servers.functions_framework(home, commands)).url,
    }
    for name, hand_off in ((FAAS, "true"), (QUEUED, "false")):
        say(f"http: starting {name}")
        started = platform.running(home / f"hand-off-{hand_off}", platform.FUNCTIONS, hand_off=hand_off)
        urls[name] = stack.enter_context(started).url("greet")
    for name, url in urls.items():
        _warm_up(name, url)
    return urls


def _warm_up(name: str, url: str) -> None:
    """See that it answers what the others answer, then let it start whatever it starts under load."""
    status, _, body = processes.post(url, load.BODY)
    if status != 200 or msgspec.json.decode(body) != servers.ANSWER:
        raise click.ClickException(f"{name} answered {status}: {body[:200].decode(errors='replace')}")
    load.post(url, clients=max(_CLIENTS), seconds=_WARM_UP_S)


def _figures(run: load.Run) -> dict[str, float]:
    wrong = float(run.refused + run.broken)
    return {"p50_ms": run.p50_us / 1e3, "p99_ms": run.p99_us / 1e3, "per_s": run.per_s, "wrong": wrong}
