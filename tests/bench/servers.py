"""Servers to compare with: each a context manager that yields where it is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import load, nuclio, peers_home, processes

ANSWER = {"hello": "Ada"}
"""What every contender answers to `load.BODY`."""
_START_WITHIN_S = 30


class Server(NamedTuple):
    """A URL to POST to, and the process behind it, which may have started others."""

    url: str
    pid: int


@contextlib.contextmanager
def aiohttp_server(home: Path, layer: str) -> Iterator[Server]:
    """A bare aiohttp server on uvloop, in the project's environment: an ``application`` or the ``lowest`` layer."""
    port = processes.free_port()
    command = [sys.executable, str(peers_home.SOURCES / "aiohttp_server.py"), layer, str(port)]
    with _serving(command, port, home / f"aiohttp-{layer}.log") as server:
        yield server


@contextlib.contextmanager
def functions_framework(home: Path, commands: Path) -> Iterator[Server]:
    """functions-framework as it runs without any setting: gunicorn with its default workers and threads."""
    port = processes.free_port()
    source = str(peers_home.SOURCES / "framework_function.py")
    command = [str(commands / "functions-framework"), "--target=handler", f"--source={source}"]
    command += ["--host=127.0.0.1", f"--port={port}"]
    with _serving(command, port, home / "functions-framework.log") as server:
        yield server


@contextlib.contextmanager
def nuclio_processor(home: Path, built: Path, commands: Path) -> Iterator[Server]:
    """Nuclio's processor with its Python workers. It runs on without a listener when its port is taken."""
    port = processes.free_port()
    command = nuclio.command(built, home, port)
    with _serving(command, port, home / "nuclio.log", nuclio.environ(built, commands)) as server:
        yield server


@contextlib.contextmanager
def _serving(command: Sequence[str], port: int, log: Path, extra: Mapping[str, str] | None = None) -> Iterator[Server]:
    url = f"http://127.0.0.1:{port}/"
    with processes.running(command, log, env=processes.environ(**(extra or {}))) as process:
        processes.until(lambda: _answers(url), within_s=_START_WITHIN_S, what=f"{command[0]} answers")
        yield Server(url, process.pid)


def _answers(url: str) -> bool:
    with contextlib.suppress(ConnectionError):
        return processes.post(url, load.BODY)[0] == 200
    return False
