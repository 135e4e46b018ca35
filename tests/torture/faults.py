"""Doing what a plan says to the processes, the containers, the engine and the disk of a stage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
import urllib.parse
from pathlib import Path

import docker
import docker.errors
import msgspec
import requests

from runners.journal import format as form
from runners.journal import reading
from tests.torture import load, plan, stage

_FULL_FOR_S = 2.0
_REST_S = 60.0
_ANSWER_WITHIN_S = 10.0
_ENGINE_AWAY_S = 5.0
_HOUR_S = 3_600
_UP_AGAIN_WITHIN_S = 60.0
HOUR_MS = _HOUR_S * 1000
"""By how much the clock is set, either way."""

_PAUSES_S = {"node": (2.0, 16.0), "redis": (1.0, 29.0), "scheduler": (1.0, 4.0), "recorder": (1.0, 4.0)}
"""Shortest pause, and what the longest one has over it. A node's lease is 8 s, Redis may be away for 30."""


class Loss(msgspec.Struct, frozen=True):
    """A node that was killed or paused, by its process id, and when (Unix ms)."""

    pid: int
    at_ms: int


class Faults:
    """Does one fault at a time, and knows how often each was done and which nodes were lost."""

    def __init__(self, on: stage.Stage, gateway: str, promises: load.Promises) -> None:
        self.done: dict[str, int] = dict.fromkeys((*plan.FAULTS, *plan.LONG), 0)
        self.losses: list[Loss] = []
        self._stage = on
        self._gateway = urllib.parse.urlsplit(gateway)
        self._promises = promises
        self._clock_off_s = 0
        self._up_killed_at = 0.0

    async def do(self, fault: plan.Fault) -> float | None:
        """Do it to its end; when it was over (monotonic seconds), or None when there was nothing to do it to.

        A pause is over when this returns. What was killed is dead at once, also when a person has to start it again.
        """
        how, _, what = fault.kind.partition(" ")
        if fault.kind == "kill container":
            happened = await asyncio.to_thread(self._kill_container, fault.pick)
        elif fault.kind == "fill disk":
            happened = await self._fill_disk()
        elif fault.kind == "stop engine":
            happened = await self._stop_engine(_ENGINE_AWAY_S * fault.long)
        elif fault.kind == "set clock":
            happened = self._set_clock(fault.pick)
        elif fault.kind == "kill up":
            happened = await self._kill_up()
        elif fault.kind == "kill answering":
            happened = await asyncio.to_thread(self._kill_answering)
        elif fault.kind == "tear journal":
            happened = await asyncio.to_thread(self._tear_journal, fault.pick)
        else:
            happened = await self._signal(how, what, fault)
        self.done[fault.kind] += happened
        if not happened:
            return None
        return self._up_killed_at if fault.kind == "kill up" else time.monotonic()

    async def _signal(self, how: str, what: str, fault: plan.Fault) -> bool:
        pids = sorted(self._stage.processes(what).values())
        if not pids:
            return False
        pid = pids[int(fault.pick * len(pids))]
        if what == "node":
            self._note_losses([pid])
        try:
            if how == "kill":
                self._stage.kill(pid)
                return True
            os.kill(pid, signal.SIGSTOP)
            least, more = _PAUSES_S[what]
            long_s = _REST_S if how == "rest" else least + more * fault.long**3  # mostly short
            try:
                await asyncio.sleep(long_s)
            finally:
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return False
        return True

    def _kill_answering(self) -> bool:
        """Kill every node at the moment at which a caller has the answer of one."""
        pids = list(self._stage.processes("node").values())
        address = self._gateway.hostname, self._gateway.port
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=_ANSWER_WITHIN_S) as caller:
            caller.sendall(b"POST /fn/probed HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5\r\n\r\nprobe")
            answer = caller.recv(65_536)
            self._note_losses(pids)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    self._stage.kill(pid)
            if answer.startswith(b"HTTP/1.1 200 "):
                self._promises.answered[_invocation_id(answer)] = 200
            return True
        return False

    def _tear_journal(self, pick: float) -> bool:
        """Kill a node and leave half a write at the end of its journal, as a power cut does."""
        pids = sorted(self._stage.processes("node").values())
        if not pids:
            return False
        pid = pids[int(pick * len(pids))]
        self._note_losses([pid])
        with contextlib.suppress(ProcessLookupError):
            self._stage.kill(pid)
        for folder in (self._stage.platform.data / "journals").glob(f"*-{pid}-*"):
            with contextlib.suppress(OSError, IndexError):  # somebody has shipped it to its end already
                end = reading.left(folder, 0).end
                start, path = form.segments(folder)[-1]
                with path.open("r+b") as segment:
                    segment.seek(end - start)
                    segment.write(form.entry(form.ENDED, b"half of this is not there")[:-9])
        return True

    async def _kill_up(self) -> bool:
        """Kill `faas up`, with which all of it ends, and start it again as a person would: until it works."""
        pid = self._stage.supervisor()
        if pid is None:
            return False
        self._note_losses(list(self._stage.processes("node").values()))
        os.kill(pid, signal.SIGKILL)
        self._up_killed_at = time.monotonic()
        until = self._up_killed_at + _UP_AGAIN_WITHIN_S
        while (said := await asyncio.to_thread(self._stage.up_again)) is not None:
            if time.monotonic() > until:
                raise AssertionError(f"`faas up` did not come up again: {said}")
        return True

    def _note_losses(self, pids: list[int]) -> None:
        at_ms = int(self._stage.clock.time() * 1000)
        self.losses += [Loss(pid, at_ms) for pid in pids]

    def _set_clock(self, pick: float) -> bool:
        """An hour forward or back, and never further from the true time than that."""
        jump_s = _HOUR_S if pick < 0.5 else -_HOUR_S
        if abs(self._clock_off_s + jump_s) > _HOUR_S:
            jump_s = -jump_s
        self._clock_off_s += jump_s
        self._stage.clock.jump(jump_s)
        return True

    def _kill_container(self, pick: float) -> bool:
        with contextlib.closing(docker.DockerClient(self._stage.engine.host)) as client:
            found = containers(client)
            if not found:
                return False
            with contextlib.suppress(docker.errors.APIError):
                found[int(pick * len(found))].kill()
                return True
        return False

    async def _stop_engine(self, away_s: float) -> bool:
        await asyncio.to_thread(self._stage.engine.stop)
        await asyncio.sleep(away_s)
        self._stage.engine.launch()
        await asyncio.to_thread(self._stage.engine.wait)
        return True

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


def _invocation_id(answer: bytes) -> str:
    lines = answer.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith("faas-invocation-id"))


def containers(client: docker.DockerClient) -> list[docker.models.containers.Container]:
    """All containers of the stage's own engine, in any state."""
    with contextlib.suppress(requests.ConnectionError):
        found: list[docker.models.containers.Container] = client.containers.list(all=True, ignore_removed=True)
        return found
    return []


def _fill(filler: Path) -> None:
    piece = 1 << 26
    with filler.open("wb") as file:
        while piece >= 4096:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece)
            except OSError:
                piece //= 2
