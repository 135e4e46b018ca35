"""Doing what a plan says to the processes, the containers and the disk of a stage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import docker
import docker.errors

from runners.sandbox import docker as engine_module
from tests.torture import load, plan, stage

_REDIS_PAUSE_S = 3.0
_FULL_FOR_S = 2.0
_PAUSE_S = stage.LEASE_MS / 1000 + 2.0


class Faults:
    """Does one fault at a time, and knows how often each was done."""

    def __init__(self, on: stage.Stage, clients: load.Clients) -> None:
        self.done: dict[str, int] = dict.fromkeys(plan.FAULTS, 0)
        self.skipped: dict[str, int] = {}
        self._stage = on
        self._clients = clients

    async def do(self, fault: plan.Fault) -> bool:
        """Do it to its end (a pause is over when this returns); False when there was nothing to do it to."""
        how, _, what = fault.kind.partition(" ")
        if what == "container":
            happened = await asyncio.to_thread(self._kill_container, fault.pick)
        elif what == "disk":
            happened = await self._fill_disk()
        elif fault.kind == "deploy":
            happened = await asyncio.to_thread(self._stage.deploy) or True
        elif fault.kind == "hang up":
            self._clients.hang_up.set()
            happened = True
        else:
            happened = await self._signal(how, what, fault.pick)
        counted = self.done if happened else self.skipped
        counted[fault.kind] = counted.get(fault.kind, 0) + 1
        return happened

    async def _signal(self, how: str, what: str, pick: float) -> bool:
        pids = sorted(self._stage.processes(what).values())
        if not pids:
            return False
        pid = pids[int(pick * len(pids))]
        try:
            if how == "kill":
                os.kill(pid, signal.SIGKILL)
                return True
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(_REDIS_PAUSE_S if what == "redis" else _PAUSE_S)
            finally:
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return False
        return True

    def _kill_container(self, pick: float) -> bool:
        with contextlib.closing(docker.from_env()) as client:
            found = containers(client, self._stage)
            if not found:
                return False
            with contextlib.suppress(docker.errors.APIError):
                found[int(pick * len(found))].kill()
                return True
        return False

    async def _fill_disk(self) -> bool:
        data = self._stage.platform.data
        if not os.path.ismount(data.parent):
            return False
        filler = data.parent / "filler"
        try:
            await asyncio.to_thread(_fill, filler)
            await asyncio.sleep(_FULL_FOR_S)
        finally:
            filler.unlink(missing_ok=True)
        return True


def containers(client: docker.DockerClient, of: stage.Stage) -> list[docker.models.containers.Container]:
    """The containers of a stage, in any state."""
    label = f"{engine_module.LABEL_DATA_DIR}={engine_module.data_dir_label(of.platform.data)}"
    found: list[docker.models.containers.Container] = client.containers.list(
        all=True, filters={"label": label}, ignore_removed=True
    )
    return found


def _fill(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"\0" * (1 << 20))
            file.flush()
