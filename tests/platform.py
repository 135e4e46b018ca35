"""The platform as a person runs it: `faas up` in a data directory of its own, used by the command line and by HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from faas.cli import platform_dir
from tests import clock as clocks
from tests import patience
from tests.eventually import eventually_sync

PATIENT = {"init_timeout_ms": "120000", "load_timeout_ms": "150000"}
"""Settings for handlers that import much, on a machine that is very busy."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


class Platform:
    """One running platform. Make it with `running`."""

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        self.data = data
        self.facts: dict[str, str] = {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FAAS_")}
        self._environ = {**kept, **settings, "FAAS_DATA_DIR": str(data)}

    def up(self, *arguments: str) -> None:
        """Start it; fails with what the command said."""
        done = self.faas("up", "--detach", "--json", "--port", "0", *arguments)
        assert done.returncode == 0, done.stderr + self.logs()
        self.facts = json.loads(done.stdout)

    def faas(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "faas.cli.main", *arguments],
            env=self._environ,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=170 * patience.FACTOR,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
        )

    def begin(self, *arguments: str, stdout: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start a command that goes on. Whoever starts it ends it."""
        command = [sys.executable, "-m", "faas.cli.main", *arguments]
        return subprocess.Popen(command, env=self._environ, stdout=stdout, stderr=subprocess.DEVNULL)

    def json(self, *arguments: str) -> Any:
        """What a command prints with ``--json``; fails when it does."""
        done = self.faas(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def shell(self, script: str, cwd: Path) -> str:
        """What a script of `faas` and other commands prints, on both streams; fails at its first command that fails."""
        path = f"{Path(sys.executable).parent}:{self._environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**self._environ, "PATH": path},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=170 * patience.FACTOR,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def deploy(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Write a manifest (JSON is YAML) into a folder and deploy it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faas.yaml").write_text(json.dumps(manifest))
        done = self.faas("deploy", str(folder))
        assert done.returncode == 0, done.stderr

    def call(
        self, path: str, body: bytes | None = None, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request to the gateway."""
        return self._request(self.facts["gateway"] + path, body, method, dict(headers or {}))

    def api(
        self, path: str, body: bytes | None = None, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request to the control API, with the token."""
        token = Path(self.facts["token_file"]).read_text().strip()
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        return self._request(self.facts["api"] + path, body, method, sent)

    def _request(self, url: str, body: bytes | None, method: str | None, headers: dict[str, str]) -> Answer:
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120 * patience.FACTOR) as got:
                return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, got.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def record(self, invocation_id: str) -> dict[str, Any]:
        """The record of an invocation's last attempt, once the ledger has it and no other follows."""
        found: list[dict[str, Any]] = eventually_sync(lambda: self._records(invocation_id), within=60)
        return found[-1]

    def _records(self, invocation_id: str) -> list[dict[str, Any]]:
        answer = self.api(f"/api/v1/invocations/{invocation_id}")
        found = answer.json() if answer.status == 200 else {"settled": False}
        return found["records"] if found["settled"] else []

    def processes(self) -> dict[str, int]:
        """The process ids of the tree, by name."""
        facts = platform_dir.published(self.data) or {}
        return {row["name"]: row["pid"] for row in facts.get("processes", ())}

    def conserved(self) -> bool:
        """Whether all that was accepted is settled, and counted once."""
        rows = self.json("status")["functions"].values()
        return all(row["drift"] == 0 and row["waiting"] == row["running"] == 0 for row in rows)

    def logs(self) -> str:
        """What its processes logged."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.data.glob("logs/*.log")))

    def end(self) -> None:
        """End it, by force if it must be."""
        owner = platform_dir.running(self.data) if self.data.is_dir() else None
        if owner is None:
            return
        if self.faas("down").returncode != 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGKILL)
        eventually_sync(lambda: platform_dir.running(self.data) is None, within=60)


@contextlib.contextmanager
def running(
    data: Path, *arguments: str, docker_host: str = "", clock: clocks.Clock | None = None, **settings: str
) -> Iterator[Platform]:
    """A platform for the length of the block; ``settings`` are FAAS_ variables in lower case.

    ``docker_host`` is another engine than this machine's, ``clock`` another wall clock.
    """
    if patience.FACTOR > 1:
        settings = {"load_timeout_ms": str(round(60_000 * patience.FACTOR)), **settings}
    environ = {"DOCKER_HOST": docker_host} if docker_host else {}
    environ |= clock.environment() if clock else {}
    platform = Platform(data, environ | {f"FAAS_{name.upper()}": value for name, value in settings.items()})
    try:
        platform.up(*arguments)
        yield platform
    finally:
        platform.end()
