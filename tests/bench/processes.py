"""Processes of a benchmark: each is ended by what started it, and dies with the benchmark whatever becomes of it."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click

from faas.core.processes import tether

T = TypeVar("T")
_STEP_S = 0.02
_END_WITHIN_S = 15


def environ(**extra: str) -> dict[str, str]:
    """This process's environment without any setting of the platform's, and with ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAAS_")}
    return {**kept, **extra}


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process from here to the end of the block. ``command`` starts with a path; ``log`` gets all that it prints."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            tether.tethered(command),
            cwd=cwd,
            env=env or environ(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # as the platform does: kernels may share out the processor by session
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> bytes:
    """What a command prints. Raises `click.ClickException` with its last words when it fails."""
    made = subprocess.run(command, capture_output=True, env=env or environ(), cwd=cwd, check=False)
    if made.returncode != 0:
        said = made.stderr.decode(errors="replace").strip() or f"exit {made.returncode}"
        raise click.ClickException(f"{' '.join(command[:3])}: {said[-2000:]}")
    return made.stdout


def until(condition: Callable[[], T | None], *, within_s: float, what: str) -> T:
    """The first value of ``condition`` that is true; `click.ClickException` when there is none in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(_STEP_S)
    raise click.ClickException(f"{what}: not within {within_s:.0f} s")


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(url: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """One POST of JSON on a connection of its own: status, headers (names in lower case) and body."""
    return _request("POST", url, body, {"Content-Type": "application/json", **(headers or {})})


def get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The body at a URL. Raises `click.ClickException` when the status is not 200."""
    status, _, body = _request("GET", url, None, headers or {})
    if status != 200:
        raise click.ClickException(f"{url} answered {status}: {body[:200].decode(errors='replace')}")
    return body


def _request(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, dict[str, str], bytes]:
    host, slash, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=120)
    try:
        connection.request(method, slash + path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
