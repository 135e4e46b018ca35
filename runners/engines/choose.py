"""Which engine a node uses: chosen once for a data directory, written down there, and never a weaker one unasked.

::

    engine setting   written down   Docker answers         chosen
    docker           whatever       whatever               docker
    process          whatever       whatever               process
    auto             docker         whatever               docker
    auto             process        whatever               process
    auto             nothing        yes                    docker
    auto             nothing        no, not root           process
    auto             nothing        no, root               none: refused

What is written down is the first choice; after it only a change to Docker is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

from faas.core import groups
from faas.runtimes import table
from runners.engines import folder
from runners.engines.docker import abilities, containers, daemon, image, support
from runners.engines.process import processes
from runners.sandbox import base, objects

DOCKER, PROCESS = containers.DockerEngine.name, processes.ProcessEngine.name
_ENGINES = (DOCKER, PROCESS)

_log = logging.getLogger(__name__)


async def choose(
    root: Path,
    sandboxes: groups.Sandboxes,
    buckets: objects.Find,
    runtimes: table.Runtimes,
    progress: image.Progress = image.quiet,
) -> base.Engine:
    """The engine of a data directory, open, with those of the runtimes that it can have.

    Raises `base.EngineUnavailable` when it is Docker, which does not answer or has no base image and none can be had,
    and when it could only be processes of root, which nobody has asked for by name.
    """
    name = await _chosen(root, sandboxes)
    await asyncio.to_thread(_write_down, root, name)
    if name == DOCKER:
        return await containers.DockerEngine.open(root, sandboxes, buckets, runtimes, progress)
    _log.warning(
        "sandboxes_do_not_isolate",
        extra={"engine": PROCESS, "hint": "functions run as plain processes of this machine; install Docker"},
    )
    return processes.ProcessEngine(root, sandboxes, buckets, runtimes)


async def _chosen(root: Path, sandboxes: groups.Sandboxes) -> str:
    known = written_down(root)
    if sandboxes.engine != "auto" or known is not None:
        # Neither matters then, and to ask Docker takes up to three seconds when it is away.
        return decide(sandboxes.engine, known, docker_answers=False, is_root=False)
    return decide(sandboxes.engine, None, docker_answers=await _docker_answers(), is_root=os.geteuid() == 0)


def decide(asked: str, known: str | None, *, docker_answers: bool, is_root: bool) -> str:
    """The engine by the table above: ``asked`` is the setting, ``known`` what is written down.

    Raises `base.EngineUnavailable` for root without Docker.
    """
    if asked != "auto":
        return asked
    if known is not None:
        return known
    if docker_answers:
        return DOCKER
    if is_root:
        raise base.EngineUnavailable(
            "Docker does not answer, and functions as processes of root could do anything to this machine",
            hint="start the Docker daemon; or take processes all the same with FAAS_ENGINE=process",
        )
    return PROCESS


async def check_engine(root: Path, sandboxes: groups.Sandboxes) -> None:
    """Raise `base.EngineUnavailable` for an engine that is not supported, or has no such runtime as was asked for.

    An engine that does not answer now is asked again by the nodes.
    """
    if sandboxes.engine == PROCESS or (sandboxes.engine == "auto" and written_down(root) == PROCESS):
        if sandboxes.sandbox_runtime:
            raise base.EngineUnavailable(
                f"sandbox_runtime is {sandboxes.sandbox_runtime[:60]!r}, and plain processes have none",
                hint="leave it out, or start with --engine docker",
            )
        return
    with contextlib.suppress(_Away):
        await asyncio.to_thread(_look_at_engine, root, sandboxes)


class _Away(Exception):
    """The engine does not answer."""


def _look_at_engine(root: Path, sandboxes: groups.Sandboxes) -> None:
    try:
        client = daemon.connect(daemon.PING_WITHIN_S)
    except base.EngineUnavailable as error:
        raise _Away from error
    with contextlib.closing(client):
        support.check(root, sandboxes, abilities.ask(client), os.geteuid())


def written_down(root: Path) -> str | None:
    """The engine that was chosen for a data directory; None when none was. Raises `base.EngineUnavailable`."""
    path = root / "engine"
    try:
        found = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise base.EngineUnavailable(f"{path} cannot be read: {error.strerror}") from error
    if found not in _ENGINES:
        raise base.EngineUnavailable(
            f"{path} names no engine: {found[:40]!r}", hint=f"it holds one word, {' or '.join(_ENGINES)}"
        )
    return found


def _write_down(root: Path, name: str) -> None:
    """Keep the choice. Processes never take the place of Docker here: they were asked for this once."""
    known = written_down(root)
    if known in (name, DOCKER):
        return
    root.mkdir(parents=True, exist_ok=True)
    fresh = root / f".engine.{os.getpid()}"
    try:
        fresh.touch(0o600)
        fresh.write_text(f"{name}\n")
        # Nodes start at once, and each reads what another may just be writing.
        fresh.replace(root / "engine")
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise base.EngineUnavailable(f"{root / 'engine'} cannot be written: {error.strerror}") from error


async def sweep_for_the_dead(root: Path, sandboxes: groups.Sandboxes) -> None:
    """Remove what runners left that were killed, when no other is there any more to do it.

    Raises `base.EngineUnavailable`; the next runner sweeps when it starts.
    """
    if folder.dead_runners(folder.place(root)):
        # To sweep takes no image, which may have gone or take long to be had.
        engine = await choose(root, sandboxes, lambda _name: None, table.Runtimes(()))
        await engine.close()


async def _docker_answers() -> bool:
    try:
        client = await asyncio.to_thread(daemon.connect, daemon.PING_WITHIN_S)
    except base.EngineUnavailable:
        return False
    client.close()
    return True
