"""A whole platform on a data directory of its own, and the real command line to talk to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

BIN = Path(sys.executable).parent
WITHIN_S = 240


class Platform(NamedTuple):
    """A running platform. ``environ`` makes every `faas` that inherits it talk to this one."""

    gateway: str
    environ: Mapping[str, str]

    def faas(self, *arguments: str, given: str = "", cwd: Path | None = None) -> str:
        """What a command prints on stdout. Fails with what it says on stderr when it fails."""
        return ran([str(BIN / "faas"), *arguments], self.environ, given, cwd)

    def json(self, *arguments: str) -> Any:
        """The same with ``--json``, decoded."""
        return json.loads(self.faas(*arguments, "--json"))

    def shell(self, script: str, cwd: Path) -> str:
        """What a shell script prints, on stdout and stderr; it stops at the first command that fails."""
        return ran(["bash", "-euo", "pipefail", "-c", f"exec 2>&1\n{script}"], self.environ, "", cwd)


@contextlib.contextmanager
def platform(root: Path, engine: str = "docker") -> Iterator[Platform]:
    """Start one and end it, whatever happens between."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FAAS_")}
    environ |= {"FAAS_DATA_DIR": str(root), "FAAS_ENGINE": engine, "FAAS_PORT": "0", "NO_COLOR": "1"}
    environ |= {"FAAS_INIT_TIMEOUT_MS": "120000", "FAAS_LOAD_TIMEOUT_MS": "180000"}  # the machine may be very busy
    environ["PATH"] = f"{BIN}:{environ['PATH']}"
    try:
        facts = json.loads(ran([str(BIN / "faas"), "up", "--detach", "--json"], environ))
        yield Platform(facts["gateway"], environ)
    finally:
        ran([str(BIN / "faas"), "down"], environ)


def ran(command: list[str], environ: Mapping[str, str], given: str = "", cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, env=environ, input=given, cwd=cwd, capture_output=True, text=True, check=False, timeout=WITHIN_S
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
