"""Which engine a node uses."""

from __future__ import annotations

import asyncio
import logging

from faas.core import settings
from runners.sandbox import base, docker, docker_calls, folder, image, objects, process

_log = logging.getLogger(__name__)


async def choose(
    limits: settings.Settings, buckets: objects.Find, progress: image.Progress = image.quiet
) -> base.Engine:
    """The engine that the setting names; ``auto`` is Docker when its daemon answers, else processes with a warning.

    Raises `base.EngineUnavailable` when Docker is asked for and does not answer, or when it has no base image and none
    can be had: a machine with Docker never falls back to no isolation in silence.
    """
    if limits.engine == "process" or (limits.engine == "auto" and not await _docker_answers()):
        _log.warning(
            "sandboxes_do_not_isolate",
            extra={"engine": "process", "hint": "functions run as plain processes of this machine; install Docker"},
        )
        return process.ProcessEngine(limits, buckets)
    return await docker.DockerEngine.open(limits, buckets, progress)


async def sweep_for_the_dead(limits: settings.Settings) -> None:
    """Remove what runners left that were killed, when no other is there any more to do it.

    Raises `base.EngineUnavailable`; the next runner sweeps when it starts.
    """
    if folder.dead_runners(folder.place(limits)):
        engine = await choose(limits, lambda _name: None)
        await engine.close()


async def _docker_answers() -> bool:
    try:
        client = await asyncio.to_thread(docker_calls.connect, docker_calls.PING_WITHIN_S)
    except base.EngineUnavailable:
        return False
    client.close()
    return True
