"""HTTP load, by wrk: a program of its own in C, so that what it costs is small and the same for every contender."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

_SCRIPT = Path(__file__).with_name("wrk.lua")
BODY = b'{"name": "Ada"}'
"""What the script posts; the warm-up call of each contender posts the same."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What wrk counted.

    ``refused`` are answers with a status from 400, ``timeouts`` answers that came too late, ``broken`` calls that got
    no answer because their connection ended.
    """

    answers: int
    us: int
    p50_us: int
    p99_us: int
    refused: int
    broken: int
    timeouts: int = 0

    @property
    def good(self) -> int:
        """How many answers were good."""
        return self.answers - self.refused

    @property
    def per_s(self) -> float:
        """Good answers per second."""
        return self.good / (self.us / 1e6)


def demand() -> None:
    """Raise `click.ClickException` when there is no wrk."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk makes the load and is not here: apt-get install wrk")


def post(
    url: str,
    *,
    clients: int,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    body: Path | None = None,
    timeout_s: int = 30,
) -> Run:
    """POST the small JSON, or what is in a file, from so many connections; each sends again when it has its answer."""
    extra = [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{round(seconds)}s",
        "--timeout",
        f"{timeout_s}s",
        "-s",
        str(_SCRIPT),
        *extra,
        url,
        *(["--", str(body)] if body else []),
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse(made.stdout, made.stderr)


def parse(stdout: str, stderr: str = "") -> Run:
    """The figures in wrk's output. Raises `click.ClickException` with what it said instead."""
    lines = stdout.strip().splitlines()
    try:
        return msgspec.json.decode(lines[-1], type=Run)
    except (IndexError, msgspec.DecodeError) as error:
        raise click.ClickException(f"wrk failed: {(stderr or stdout).strip()}") from error
