"""Cold starts: the first call of a function, with and without prewarmed sandboxes, beside `docker run --rm`.

Every round calls functions that were never called before. Each measurement starts when the machine is quiet again, so
that the sandbox that replaces a claimed one is not made at the cost of the next contender.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import yaml

from faas.core import settings
from runners.sandbox import docker_calls, image
from tests.bench import load, platform, processes, report, rounds, servers

PREWARMED, FULL, DOCKER = "prewarmed", "full", "docker run --rm"
_CASE = "first call"
_QUIET_S = 2.5
_WITHIN_S = 30
FIGURES = (
    report.Figure("wall_ms", "wall ms", 1),
    report.Figure("queue_ms", "queue ms (record)", 0),
    report.Figure("init_ms", "init ms (record)", 0),
)
AIMS = (
    report.Aim(case=_CASE, contender=PREWARMED, figure="wall_ms", against=DOCKER, most=0.1),
    report.Aim(case=_CASE, contender=FULL, figure="wall_ms", against=DOCKER, most=1.3),
)


def measure(home: Path, count: int, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples; about ten seconds a round."""
    project = _project(home / "project", count)
    with contextlib.ExitStack() as stack:
        say("cold: starting two platforms")
        prewarmed = stack.enter_context(platform.running(home / "prewarmed", project, stock_none="1"))
        full = stack.enter_context(platform.running(home / "full", project, stock_none="0"))
        base = _image(home / "prewarmed")
        contenders: dict[str, Callable[[int], dict[str, float]]] = {
            DOCKER: lambda number: _docker_run(base),
            PREWARMED: lambda number: _first_call(prewarmed, number, "prewarmed"),
            FULL: lambda number: _first_call(full, number, "full"),
        }
        samples = []
        for number, name in rounds.turns(list(contenders), count):
            say(f"cold: round {number + 1} of {count}, {name}")
            _become_quiet(prewarmed)
            figures = contenders[name](number)
            samples.append(rounds.Sample(case=_CASE, contender=name, round=number, figures=figures))
    return samples


def _project(folder: Path, count: int) -> Path:
    """A project of one function for each round."""
    shutil.copytree(platform.FUNCTIONS / "greet", folder / "greet")
    function = {"runtime": "python3", "handler": "app.handler", "source": "./greet"}
    functions = {
        _name(number): {**function, "triggers": [{"http": {"path": f"/{_name(number)}"}}]} for number in range(count)
    }
    (folder / "faas.yaml").write_text(yaml.safe_dump({"functions": functions}))
    return folder


def _name(number: int) -> str:
    return f"greet-{number}"


def _image(root: Path) -> str:
    """The image that the platform on ``root`` starts its sandboxes from."""
    client = docker_calls.connect()
    try:
        return image.ensure(client, settings.Settings(data_dir=str(root))).id
    finally:
        client.close()


def _become_quiet(prewarmed: platform.Platform) -> None:
    time.sleep(_QUIET_S)  # longer than a node's heartbeat, so that what it says of its stock is not of before
    processes.until(lambda: prewarmed.prewarmed() > 0, within_s=_WITHIN_S, what="the stock is filled")


def _docker_run(base: str) -> dict[str, float]:
    began = time.monotonic()
    processes.output(["docker", "run", "--rm", "--entrypoint", "python3", base, "-c", "pass"])
    return {"wall_ms": (time.monotonic() - began) * 1e3}


def _first_call(where: platform.Platform, number: int, expected: str) -> dict[str, float]:
    began = time.monotonic()
    status, headers, body = processes.post(where.url(_name(number)), load.BODY)
    wall_ms = (time.monotonic() - began) * 1e3
    if status != 200 or msgspec.json.decode(body) != servers.ANSWER:
        raise click.ClickException(f"{_name(number)} answered {status}: {body[:200].decode(errors='replace')}")
    record = where.record(headers["faas-invocation-id"])
    wrong = float(record["cold_start_kind"] != expected)
    return {"wall_ms": wall_ms, "queue_ms": record["queue_ms"], "init_ms": record["init_ms"], "wrong": wrong}
