"""Cold starts: a call that finds no sandbox of its function, with and without a stock, beside `docker run --rm`.

Both platforms give idle sandboxes up after a second, so that every call starts cold. Each measurement begins when the
machine is quiet again: a sandbox that replaces a claimed one is not made at the cost of the next contender.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from faas.core import settings
from runners.engines.docker import daemon
from tests import base_image
from tests.bench import load, platform, processes, report, rounds, servers, wanted

PREWARMED, FULL, DOCKER = "prewarmed", "full", "docker run --rm"
_CASE = "cold call"
_QUIET_S = 2.5
_WITHIN_S = 30
_EVICTED = {"keep_min_ms": "1000", "keep_max_ms": "1000"}
FIGURES = (
    report.Figure("wall_ms", "wall ms", 1),
    report.Figure("queue_ms", "queue ms (record)", 0),
    report.Figure("init_ms", "init ms (record)", 0),
)
AIMS = (
    report.Aim(case=_CASE, contender=PREWARMED, figure="wall_ms", against=DOCKER, most=0.1),
    report.Aim(case=_CASE, contender=FULL, figure="wall_ms", against=DOCKER, most=1.3),
)


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about twelve seconds a round."""
    with contextlib.ExitStack() as stack:
        say("cold: starting two platforms")
        prewarmed = _platform(stack, home / "prewarmed", "1")
        full = _platform(stack, home / "full", "0")
        base = _image(home / "prewarmed")
        contenders: dict[str, Callable[[], dict[str, float]]] = {
            DOCKER: lambda: _docker_run(base),
            PREWARMED: lambda: _cold_call(prewarmed, "prewarmed"),
            FULL: lambda: _cold_call(full, "full"),
        }
        samples = []
        for number, name in rounds.turns(list(contenders), asked.rounds):
            say(f"cold: round {number + 1} of {asked.rounds}, {name}")
            _become_quiet({prewarmed: {"prewarmed": 1}, full: {}})
            samples.append(rounds.Sample(case=_CASE, contender=name, round=number, figures=contenders[name]()))
    return samples


def notes() -> list[str]:
    """Nothing is left out here."""
    return []


def _platform(stack: contextlib.ExitStack, root: Path, stock: str) -> platform.Platform:
    return stack.enter_context(platform.running(root, platform.FUNCTIONS, stock_none=stock, **_EVICTED))


def _image(root: Path) -> str:
    """The image that the platform on ``root`` starts its sandboxes from."""
    client = daemon.connect()
    try:
        return base_image.of(client, settings.of(data_dir=str(root)))
    finally:
        client.close()


def _become_quiet(wanted: dict[platform.Platform, dict[str, int]]) -> None:
    """Wait until each platform has just these sandboxes left."""
    time.sleep(_QUIET_S)  # longer than a node's heartbeat, so that what it says of its sandboxes is not of before
    for where, sandboxes in wanted.items():
        processes.until(
            lambda where=where, sandboxes=sandboxes: where.sandboxes() == sandboxes,
            within_s=_WITHIN_S,
            what=f"idle sandboxes are gone, {sandboxes or 'none'} left",
        )


def _docker_run(base: str) -> dict[str, float]:
    began = time.monotonic()
    what = ["--network", "none", "--entrypoint", "python3", base]  # no network, as sandboxes have none
    processes.output(["docker", "run", "--rm", *what, "-c", "pass"])
    return {"wall_ms": (time.monotonic() - began) * 1e3}


def _cold_call(where: platform.Platform, expected: str) -> dict[str, float]:
    began = time.monotonic()
    status, headers, body = processes.post(where.url("greet"), load.BODY)
    wall_ms = (time.monotonic() - began) * 1e3
    if status != 200 or msgspec.json.decode(body) != servers.ANSWER:
        raise click.ClickException(f"greet answered {status}: {body[:200].decode(errors='replace')}")
    record = where.record(headers["faas-invocation-id"])
    wrong = float(record["cold_start_kind"] != expected)
    return {"wall_ms": wall_ms, "queue_ms": record["queue_ms"], "init_ms": record["init_ms"], "wrong": wrong}
