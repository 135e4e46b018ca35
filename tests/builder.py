"""A builder whose nodes import handlers; run as ``python -m tests.builder SETTINGS [MOMENT]``.

SETTINGS is JSON. Files in the data directory steer it: with ``hold`` there, loads wait until ``go`` is there, too.
MOMENT is where it sends itself a SIGTERM (``starting``, or a moment of `os.register_at_fork`), or the step of a
deployment at which it is killed, the first time (``kill:pack``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from faas.builds import deploy, progress, worker
from faas.core import settings as settings_module
from faas.store import database, functions
from tests.importing_nodes import ImportingNodes


def start(settings: settings_module.Settings, moment: str = "", log: TextIO | None = None) -> subprocess.Popen[bytes]:
    """One more builder, in a process of its own. Whoever starts it ends it."""
    command = [sys.executable, "-m", "tests.builder", msgspec.json.encode(settings).decode(), moment]
    return subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[1])


@contextlib.contextmanager
def deployer(settings: settings_module.Settings) -> Iterator[deploy.Deployer]:
    """What the builder deploys with."""
    engine = database.open_database(settings.data)
    catalog = functions.Functions(engine)
    hold = settings.data.root / "go" if (settings.data.root / "hold").exists() else None
    yield deploy.Deployer(
        settings.data,
        settings.building,
        settings.destinations,
        catalog,
        ImportingNodes(settings.data.root, catalog, hold=hold),
    )
    engine.dispose()


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _kill_at(step: str, root: Path) -> None:
    """Kill the builder from the deployment's process when ``step`` runs, once; and wait to go with it."""
    tell = progress.Progress._tell

    def told(of: progress.Progress, steps: Sequence[progress.Step]) -> None:
        tell(of, steps)
        running = [each.name for each in steps if each.state == progress.StepState.RUNNING]
        if step in running and not (root / "killed").exists():
            (root / "killed").touch()
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()

    progress.Progress._tell = told  # type: ignore[method-assign]


def main() -> None:
    """Run it."""
    logging.basicConfig(level=logging.INFO)
    settings = msgspec.json.decode(sys.argv[1], type=settings_module.Settings)
    moment = sys.argv[2]
    if moment.startswith("kill:"):
        _kill_at(moment.removeprefix("kill:"), settings.data.root)
    elif moment == "starting":
        worker.work(settings.data, settings.redis, lambda: _stopping(settings))
        return
    elif moment:
        os.register_at_fork(**{moment: _stop})  # type: ignore[call-overload]
    worker.work(settings.data, settings.redis, lambda: deployer(settings))


@contextlib.contextmanager
def _stopping(settings: settings_module.Settings) -> Iterator[deploy.Deployer]:
    _stop()
    with deployer(settings) as made:
        yield made


if __name__ == "__main__":
    main()
