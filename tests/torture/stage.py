"""The platform under torture: `faas up` with two nodes, and beside it a second scheduler and a second recorder.

It has a Docker engine of its own, which is stopped like everything else, and a wall clock of its own, which is set. Its
settings are the defaults, but for the nodes' memory, and for how long results, answers of idempotency keys and idle
sandboxes are kept: so that their leaving can be waited for.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from faas.cli import child, platform_dir
from faas.core import errors
from tests import clock as clocks
from tests import engine as engines
from tests import platform as platforms

EVERY_S = 5
"""Of the timer that makes up for what it missed: for 1,000 due times, and the clock jumps over an hour of them."""

KEPT_S = 60
SETTINGS = {
    "redis_prefix": "faas",
    "keep_results_ms": str(KEPT_S * 1000),
    "keep_answers_ms": str(KEPT_S * 1000),
    "memory_mb": "1024",
    "keep_min_ms": "15000",
    "keep_max_ms": "15000",
}
FAR_S = 10_000
"""Further than the clock is ever set back, and what is kept for a while is kept."""

BESIDE = ("scheduler", "recorder")
NODES = ("--engine", "docker", "--nodes", "2")
_TIMEOUTS = {"endless": "1s", "slow": "10s"}
_CODE = Path(__file__).parent / "functions"


class Stage:
    """One platform and what runs beside it. Make it with `open_stage`."""

    def __init__(
        self,
        platform: platforms.Platform,
        engine: engines.Engine,
        clock: clocks.Clock,
        project: Path,
        arguments: Sequence[str],
    ) -> None:
        self.platform = platform
        self.engine = engine
        self.clock = clock
        self._arguments = arguments
        self.project = project
        self.revision = 0
        self.ended: list[str] = []
        self._beside: dict[str, subprocess.Popen[bytes]] = {}
        self._killed: set[int] = set()

    def deploy(self) -> bool:
        """Deploy the project, with another revision of `echo` each time; whether it went through."""
        self.revision += 1
        try:
            self.platform.deploy(self.project, manifest(self.revision))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            click.echo(f"deploy failed: {str(error).strip()[-300:]}", err=True)
            return False
        return True

    def up_again(self) -> str | None:
        """Start what was killed as a whole, on the same ports; what it said when it did not come up."""
        try:
            self.platform.up(*self._arguments)
        except AssertionError as error:
            return str(error)[:500]
        return None

    def keep_beside(self) -> None:
        """Start the second scheduler and recorder, or start again what has died of them."""
        for name in BESIDE:
            running = self._beside.get(name)
            if running is not None and running.poll() is None:
                continue
            if running is not None and running.pid not in self._killed:
                self._note_end(name, running.returncode)
            self._beside[name] = self._start(name)

    def _note_end(self, name: str, code: int) -> None:
        """What nobody killed has no reason to end, but for a Redis that was away when it started."""
        log = (self.platform.data / "logs" / f"{name}-beside.log").read_text(errors="replace")
        said = f"{name}-beside ended by itself, {child.describe(code)}: {log[-1_000:]}"
        if code != errors.Unavailable.exit_code:
            self.ended.append(said)
        click.echo(said, err=True)

    def kill(self, pid: int) -> None:
        """Kill one of its processes. Raises `ProcessLookupError`."""
        os.kill(pid, signal.SIGKILL)
        self._killed.add(pid)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        url = f"unix://{self.platform.data}/redis/redis.sock"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FAAS_")}
        given = {f"FAAS_{key.upper()}": value for key, value in SETTINGS.items()}
        environ = kept | given | {"FAAS_DATA_DIR": str(self.platform.data), "FAAS_REDIS_URL": url}
        environ |= self.clock.environment()
        with (self.platform.data / "logs" / f"{name}-beside.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "faas.cli.main", name],
                env=environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def supervisor(self) -> int | None:
        """The process id of `faas up`, while it runs."""
        owner = platform_dir.running(self.platform.data)
        return owner.pid if owner is not None and platform_dir.is_alive(owner) else None

    def processes(self, kind: str = "") -> dict[str, int]:
        """Ids of living processes by name, of one kind (``node`` is ``node`` and ``node-2``) or all."""
        found = {name: pid for name, pid in self.platform.processes().items() if pid and _is_ours(pid)}
        found |= {f"{name}-beside": each.pid for name, each in self._beside.items() if each.poll() is None}
        return {name: pid for name, pid in found.items() if not kind or name.split("-")[0] == kind}

    def evidence(self) -> Path:
        """Where the handlers' evidence lies."""
        return self.platform.data / "buckets" / "evidence"

    def end(self) -> None:
        """End what runs beside, then the platform."""
        for each in self._beside.values():  # one that was paused cannot end
            each.send_signal(signal.SIGCONT)
            each.terminate()
            each.wait(30)
        self.platform.end()


ALL = frozenset(
    {"redis", "node", "node-2", "scheduler", "builder", "api", "recorder", *(f"{name}-beside" for name in BESIDE)}
)
"""Names of the processes of a whole stage."""


def manifest(revision: int) -> dict[str, Any]:
    """Seven ways to behave, an upload, a timer, and one that only whoever probes calls."""
    names = ("slow", "crashes", "exits", "hungry", "endless", "uploads", "ticks", "probed")
    functions = {name: _function(name, 0) for name in names}
    functions["echo"] = _function("echo", revision)
    functions["uploads"]["triggers"] = [{"upload": {"bucket": "inbox"}}]
    functions["ticks"]["triggers"] = [{"timer": {"every": f"{EVERY_S}s", "on_missed": "all"}}]
    return {"buckets": {"inbox": {}, "evidence": {}}, "functions": functions}


def _function(name: str, revision: int) -> dict[str, Any]:
    return {
        "runtime": "python3",
        "handler": f"app.{name}",
        "memory": "64MB",
        "timeout": _TIMEOUTS.get(name, "20s"),
        "max_concurrency": 4,
        "env": {"REVISION": str(revision)},
        "buckets": {"evidence": "write"},
        "triggers": [{"http": {"path": f"/{name}", "max_delay": "1h"}}],
    }


def _is_ours(pid: int) -> bool:
    """Whether the process lives, and is not some other that got the id of one that died."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _free_ports(count: int) -> list[int]:
    """Ports that no connection gets by itself: a client that connects to one of those while nobody listens may meet
    itself there, and keep the port from whoever is started again.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(lowest // 2, lowest)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@contextlib.contextmanager
def open_stage(home: Path) -> Iterator[Stage]:
    """A stage with everything deployed. Its data directory is a small file system where one may be mounted."""
    data, project = home / "data", home / "project"
    shutil.copytree(_CODE, project)
    clock = clocks.Clock(home / "clock")
    gateway, api = _free_ports(2)
    arguments = (*NODES, "--port", str(gateway), "--api-port", str(api))
    with (
        engines.own() as engine,
        platforms.running(data, *arguments, docker_host=engine.host, base_image=engine.image, **SETTINGS) as platform,
    ):
        stage = Stage(platform, engine, clock, project, arguments)
        try:
            platform.deploy(project, manifest(0))
            stage.keep_beside()
            yield stage
        finally:
            stage.end()
