"""The platform under torture: `faas up` with two nodes, and beside it a second scheduler and a second recorder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faas.cli import platform_dir
from tests import platform as platforms

LEASE_MS = 4_000
EVERY_S = 2
SETTINGS = {"heartbeat_ms": "500", "lease_ms": str(LEASE_MS), "grace_ms": "10000", "redis_prefix": "faas"}
BESIDE = ("scheduler", "recorder")
_TIMEOUTS = {"endless": "1s", "slow": "10s"}
_CODE = Path(__file__).parent / "functions"


class Stage:
    """One platform and what runs beside it. Make it with `open_stage`."""

    def __init__(self, platform: platforms.Platform, project: Path) -> None:
        self.platform = platform
        self.project = project
        self.revision = 0
        self._beside: dict[str, subprocess.Popen[bytes]] = {}

    def deploy(self) -> bool:
        """Deploy the project, with another revision of `echo` each time; whether it went through."""
        self.revision += 1
        with contextlib.suppress(AssertionError):
            self.platform.deploy(self.project, manifest(self.revision))
            return True
        return False

    def keep_beside(self) -> None:
        """Start the second scheduler and recorder, or start again what has died of them."""
        for name in BESIDE:
            running = self._beside.get(name)
            if running is None or running.poll() is not None:
                self._beside[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        url = (platform_dir.published(self.platform.data) or {})["redis_url"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FAAS_")}
        given = {f"FAAS_{key.upper()}": value for key, value in SETTINGS.items()}
        environ = {**kept, **given, "FAAS_DATA_DIR": str(self.platform.data), "FAAS_REDIS_URL": url}
        with (self.platform.data / "logs" / f"{name}-beside.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "faas.cli.main", name],
                env=environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def processes(self, kind: str = "") -> dict[str, int]:
        """Process ids by name, of one kind (``node`` is ``node`` and ``node-2``) or all."""
        found = {name: pid for name, pid in self.platform.processes().items() if pid}
        found |= {f"{name}-beside": each.pid for name, each in self._beside.items() if each.poll() is None}
        return {name: pid for name, pid in found.items() if not kind or name.split("-")[0] == kind}

    def evidence(self) -> Path:
        """Where the handlers' evidence lies."""
        return self.platform.data / "buckets" / "evidence"

    def end(self) -> None:
        """End what runs beside, then the platform."""
        for each in self._beside.values():
            each.send_signal(signal.SIGCONT)
            each.terminate()
            each.wait(30)
        self.platform.end()


def manifest(revision: int) -> dict[str, Any]:
    """Seven ways to behave, an upload and a timer."""
    functions = {
        name: _function(name, 0) for name in ("slow", "crashes", "exits", "hungry", "endless", "uploads", "ticks")
    }
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
        "triggers": [{"http": {"path": f"/{name}"}}],
    }


@contextlib.contextmanager
def open_stage(home: Path) -> Iterator[Stage]:
    """A stage with everything deployed. Its data directory is a small file system where one may be mounted."""
    data, project = home / "data", home / "project"
    shutil.copytree(_CODE, project)
    with platforms.running(data, "--engine", "docker", "--nodes", "2", **SETTINGS) as platform:
        stage = Stage(platform, project)
        try:
            platform.deploy(project, manifest(0))
            stage.keep_beside()
            yield stage
        finally:
            stage.end()
