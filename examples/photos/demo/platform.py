"""One platform of the demo's own: the command `faas` as a person would use it, on a data directory of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.photos.demo import failures, interrupts

_ELSEWHERE = ("DATA_DIR", "REDIS_URL", "REDIS_PREFIX", "DATABASE_URL", "PORT", "API_PORT", "HOST")
"""Settings that would lead to a platform that is not the demo's."""

_STOP_AGAIN_S = 0.2

_APART: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "start_new_session": True,
}
"""A Ctrl-C in the terminal is for the demo, which then ends its platform in order."""


def environ_for(data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of every command: the caller's, but on this data directory and nobody else's server.

    Where Docker is required, sandboxes are containers or nothing.
    """
    kept = {key: value for key, value in environ.items() if key not in {f"FAAS_{name}" for name in _ELSEWHERE}}
    if kept.get("FAAS_REQUIRE_DOCKER") == "1":
        kept.setdefault("FAAS_ENGINE", "docker")
    return {**kept, "FAAS_DATA_DIR": str(data_dir)}


class Platform:
    """Starts it, asks it, ends it. Every method raises `failures.Failed` with what the command said."""

    def __init__(self, data_dir: Path, environ: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self._environ = environ_for(data_dir, environ)
        self._starting: subprocess.Popen[str] | None = None

    @property
    def logs(self) -> Path:
        """Where its processes write."""
        return self.data_dir / "logs"

    @property
    def buckets(self) -> Path:
        """Where its buckets are, each a folder."""
        return self.data_dir / "buckets"

    def bucket(self, name: str) -> Path:
        """The folder of one bucket."""
        return self.buckets / name

    def start(self) -> dict[str, str]:
        """Start it and wait until it is ready: its URLs, as `faas up` prints them."""
        with interrupts.held():  # a process that is not known could not be ended
            self._starting = subprocess.Popen(
                _command("up", "--detach", "--json", "--port", "0"), env=self._environ, text=True, **_APART
            )
        told, talk = self._starting.communicate()
        facts: dict[str, str] = _answer("up", self._starting.returncode, told, talk)
        return facts

    def sandboxes(self) -> str:
        """What contains the functions here, as `faas doctor` says it."""
        told = subprocess.run(_command("doctor", "--json"), env=self._environ, text=True, check=False, **_APART)
        facts = json.loads(told.stdout or '{"facts": []}')["facts"]  # it exits with an error when any fact is bad
        docker = next((fact for fact in facts if fact["name"] == "docker"), {"state": "", "text": "not known"})
        if docker["state"] == "ok":
            return f"containers (Docker {docker['text']})"
        return f"plain processes, no containers (Docker: {docker['text']})"

    def deploy(self, folder: Path) -> None:
        """Deploy a project; its progress and its result are for the person who watches."""
        done = subprocess.run(_command("deploy", str(folder)), env=self._environ, check=False)
        if done.returncode != 0:
            raise failures.Failed(f"faas deploy ended with exit code {done.returncode}")

    def ask(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        done = subprocess.run(_command(*arguments, "--json"), env=self._environ, text=True, check=False, **_APART)
        return _answer(arguments[0], done.returncode, done.stdout, done.stderr)

    def stop(self) -> None:
        """End it, also while it is still starting. Safe to call when nothing runs."""
        if self._starting is None:
            return
        self.ask("down")
        while self._starting.poll() is None:  # it had not taken its data directory yet when it was told to end
            time.sleep(_STOP_AGAIN_S)
            self.ask("down")


def _command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("faas")), *arguments]


def _answer(name: str, code: int, told: str, talk: str) -> Any:
    if code != 0:
        raise failures.Failed(f"faas {name}: {reason(talk) or f'exit code {code}'}")
    return json.loads(told)


def reason(talk: str) -> str:
    """What a command that failed said on stderr, as one line."""
    last = (talk.strip().splitlines() or [""])[-1]
    try:
        error = json.loads(last)["error"]
    except (ValueError, KeyError, TypeError):
        return last
    return f"{error['message']} ({error['hint']})" if error.get("hint") else str(error["message"])
