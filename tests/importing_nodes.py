"""Nodes without sandboxes: they load a handler by importing it in a fresh interpreter, and know no catalog.

It is an adapter of `faas.builds.ports.Nodes` for tests of whole deployments; code that is loaded is the test's own.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from faas import artifacts
from faas.builds import ports, runtimes
from faas.cli import languages
from faas.cluster import demand
from faas.core import errors, model
from faas.core import settings as settings_module
from faas.runtimes import installed
from faas.store import functions

_LOAD = """
import importlib, json, sys, traceback
module, _, name = sys.argv[1].rpartition(".")
try:
    handler = getattr(importlib.import_module(module), name)
except BaseException as error:
    stack = traceback.format_tb(error.__traceback__)[-1:]
    json.dump([type(error).__name__, str(error), stack], sys.stderr)
    sys.exit(1)
"""


class ImportingNodes:
    """``away`` makes them unreachable; ``hold`` names a file that must exist before a load ends.

    ``answer`` is what they answer to every load, without one.
    """

    def __init__(
        self,
        root: Path,
        catalog: functions.Functions,
        *,
        away: bool = False,
        hold: Path | None = None,
        answer: demand.LoadReport | None = None,
    ) -> None:
        self._store = artifacts.Artifacts(root)
        self._catalog = catalog
        self._away = away
        self._hold = hold
        self._answer = answer
        self.loaded: list[str] = []
        self.announced: list[int] = []

    def runtimes(self) -> list[runtimes.Available]:
        known = languages.known(settings_module.Settings().sandboxes.base_image)
        names = [name for runtime in known if (name := runtime.here()) is not None]
        has = [installed.Installed(name=name, machine=platform.machine()) for name in names]
        return runtimes.known(has, known)

    def load(self, refs: Sequence[str], timeout_ms: int, watch: ports.Watch) -> None:
        for ref in refs:
            with watch(ref) as take:
                take(self._load(ref, timeout_ms))

    def _load(self, ref: str, timeout_ms: int) -> demand.LoadReport:
        if self._away:
            raise errors.Unavailable(f"no node loaded {ref} within {timeout_ms} ms")
        if self._answer is not None:
            return self._answer
        revision = self._catalog.get(ref)
        assert revision is not None
        code = self._store.unpack(revision.artifact)
        self.loaded.append(ref)
        wait = (
            f"import os, time\nwhile not os.path.exists({str(self._hold)!r}): time.sleep(0.01)\n" if self._hold else ""
        )
        done = subprocess.run(
            [sys.executable, "-B", "-c", wait + _LOAD, revision.config.handler],
            cwd=code,
            capture_output=True,
            text=True,
            timeout=timeout_ms / 1000,
        )
        logs = tuple(model.LogLine(0, line) for line in done.stdout.splitlines())
        if done.returncode == 0:
            return demand.LoadReport(ok=True, init_us=1000, logs=logs)
        failure = msgspec.json.decode(done.stderr, type=model.Failure)
        return demand.LoadReport(ok=False, init_us=1000, status=model.Status.INIT_ERROR, error=failure, logs=logs)

    def announce(self, version: int) -> bool:
        if self._away:
            raise errors.Unavailable("Redis does not answer")
        self.announced.append(version)
        return True
