"""One container: launched, given its code and its limits, frozen while it rests, ended, and why it has gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

import docker
import docker.errors
import requests

from faas import artifacts
from faas.core import model
from runners.engines import folder, languages, processor_time, uids
from runners.engines.docker import (
    abilities,
    cgroups,
    daemon,
    freezing,
    limiting,
    making,
    rooms,
    socket_memory,
    support,
    veil,
)
from runners.sandbox import base, channel, hosted, verdicts

NAME_PREFIX = "faas-"
GONE_WITHIN_S = 3

_log = logging.getLogger(__name__)


class DockerHost:
    """One container, known to the daemon by its name."""

    def __init__(
        self,
        client: docker.APIClient,
        calls: daemon.CallThreads,
        sandbox: str,
        folders: folder.SandboxFolders,
        spec: base.Spec,
        users: uids.Uids,
        user: int,
        veils: veil.Veils | None,
        code: artifacts.Artifacts,
    ) -> None:
        self.name = NAME_PREFIX + sandbox
        self._freezer: freezing.Freezer | None = None
        self._code = code
        self._client = client
        self._calls = calls
        self._sandbox = sandbox
        self._folders = folders
        self._folder = folders.folder(sandbox)
        self._users = users
        self._user = user
        self._veils = veils
        self._pid = 0
        self._tmp_mb = 0
        self._has = abilities.Abilities()
        self._spec = spec
        self._launched: asyncio.Future[None] | None = None
        self._process = -1
        self._sockets: socket_memory.SocketWatch | None = None
        self._has_full_sockets = False
        self._is_ending = False
        self._memory: Path | None = None
        self._cpu: Path | None = None
        self._account = processor_time.GroupAccount(None)

    def launch(self, container: making.ContainerKind, language: languages.Language) -> asyncio.Future[None]:
        """Create and start it."""
        self._has = container.has
        self._tmp_mb = container.sandboxes.tmp_mb
        options = making.options(container, language, self._spec, self._folder, self._sandbox, self._user)
        self._launched = self._calls.slow(making.create_and_start, self._client, self.name, options)
        return self._launched

    def watch(self, pid: int) -> None:
        """Keep hold of the agent's process, where this host shows it: it is the quickest way to end the container."""
        if pid <= 0:
            return
        self._pid = pid
        self._memory = cgroups.group(pid, "memory")
        self._cpu = cgroups.group(pid, "cpu")
        self._account = processor_time.GroupAccount(cgroups.group(pid, "cpuacct") or self._cpu)
        self._freezer = freezer = freezing.Freezer(cgroups.group(pid, "freezer"), self._on_thaw)
        self._sockets = socket_memory.SocketWatch(self._memory, pid, lambda: freezer.is_frozen, self._on_sockets_full)
        with contextlib.suppress(OSError):
            # A number may be another process's by the time it is killed; a descriptor is this one's for ever.
            self._process = os.pidfd_open(pid)

    def check_limited(self) -> None:
        """See `support.check_limited`."""
        support.check_limited(self._memory, self._spec.memory_mb << 20)

    def _on_thaw(self) -> None:
        if self._sockets is not None:
            self._sockets.wake()

    def _on_sockets_full(self) -> None:
        self._has_full_sockets = True
        self.kill()

    async def is_running(self) -> bool:
        """Whether the container runs."""
        try:
            state = (await self._calls.quick(self._client.inspect_container, self.name))["State"]
        except docker.errors.NotFound:
            return False
        return bool(state["Running"])

    async def show(self, artifact: str, _channel: channel.Channel) -> str:
        """Link the code into the folder that the container sees."""
        # A prewarmed sandbox has run no user code, so that its sockets are looked at from here on only.
        self._on_thaw()
        try:
            await asyncio.to_thread(self._link, artifact)
        except OSError as error:
            raise base.SandboxLost(f"the code could not be placed: {error.strerror}") from error
        if self._pid > 0 and self._veils is not None:
            covered = self._veils.draw(self._pid, self._folder.path, "task", "tmp", making.TASK)
            await asyncio.wrap_future(covered)
        return making.TASK

    def _link(self, artifact: str) -> None:
        self._folder.place(self._code.unpack(artifact))

    def rest(self) -> freezing.Rest | None:
        """The container's control group, where this host lets us freeze it."""
        return freezing.Rest(self._freezer) if self._freezer is not None and self._freezer.works else None

    def cpu_us(self) -> int | None:
        """By the container's cgroup, where this host shows it."""
        return self._account.used_us()

    def watched(self, channel: channel.Channel) -> hosted.Run:
        """Do nothing: the kernel watches a container's memory."""
        return channel.run

    async def limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        """Set memory and CPU, and the size of the folders that are in memory."""
        resized = None
        if self._pid > 0 and self._veils is not None:
            # In a thread of its own, beside the limits.
            resized = self._veils.resize(self._pid, rooms.of(config.memory_mb, self._tmp_mb))
        over = await self._limit(config)
        if resized is not None:
            await asyncio.wrap_future(resized)
        return over

    async def _limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        """Set memory and CPU, unless the container was made with them.

        A call to the engine costs more than all else that a claim does, so they are written where this host lets us;
        the engine is told afterwards, as it may set again what it knows.
        """
        if (config.memory_mb, config.cpu_milli) == (self._spec.memory_mb, self._spec.cpu_milli):
            return None
        limited = cgroups.limit(self._memory, self._cpu, limiting.allowance(config))
        if limited is cgroups.Limited.IN_USE:
            return verdicts.OutOfMemory()
        if limited is cgroups.Limited.YES:
            if self._freezer is not None:
                self._freezer.is_held = True  # some engines freeze a container themselves while they change it
            told = self._calls.slow(limiting.update, self._client, self.name, config, self._has)
            told.add_done_callback(self._on_updated)
            return None
        try:
            return await self._calls.quick(limiting.limited, self._client, self.name, config, self._has)
        except docker.errors.NotFound as error:
            raise base.SandboxLost("the container has gone") from error
        except base.EngineUnavailable as error:
            raise base.SandboxLost(f"its limits could not be set: {error.message}") from error

    def _on_updated(self, told: asyncio.Future[None]) -> None:
        """The limits hold; whether the engine knows them matters only while it is there."""
        if self._freezer is not None:
            self._freezer.is_held = False
        error = None if told.cancelled() else told.exception()
        if isinstance(error, base.EngineUnavailable) and not self._is_ending:
            # systemd, by which some engines set limits, then knows the old ones and sets them when it is reloaded.
            _log.warning("engine_not_told_of_limits", extra={"sandbox": self._sandbox, "reason": error.message})

    async def why_gone(self, _told: verdicts.Exited | None) -> verdicts.Death:
        """The container's exit, and whether its memory ran out: by its cgroup while it is there, and by the daemon."""
        if self._has_full_sockets:
            return verdicts.OutOfMemory()
        # Now, since the cgroup goes with the container, which may be removed before the daemon answers.
        killed = self._memory is not None and bool(cgroups.oom_kills(self._memory))
        try:
            return await self._calls.quick(_death, self._client, self.name, killed)
        except docker.errors.NotFound:
            return verdicts.Vanished("the container has been removed")
        except base.EngineUnavailable as error:
            return verdicts.Vanished(error.message)

    def kill(self) -> None:
        """Kill the agent; process 1 ends with it, and so does the container. `remove` does it where this cannot."""
        self._is_ending = True
        if self._freezer is not None:
            self._freezer.close()
        if self._sockets is not None:
            self._sockets.close()
        if self._process >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    async def remove(self) -> None:
        """Force the container away, then its folder. What the daemon does not remove now, a later sweep does."""
        self.kill()
        try:
            if self._launched is not None:
                # A container that is still being created cannot be removed, and would come about afterwards.
                await asyncio.wait({self._launched})
                self._launched.exception()
            with contextlib.suppress(base.EngineUnavailable):
                await self._calls.slow(remove, self._client, self.name)
                await asyncio.to_thread(self._folder.remove)
                await asyncio.to_thread(self._users.give_back, self._user, self._sandbox)
        finally:
            self._account.close()
            if self._process >= 0:
                os.close(self._process)
                self._process = -1
            self._folders.let_go(self._sandbox)


def _death(client: docker.APIClient, name: str, killed: bool) -> verdicts.Death:
    with contextlib.suppress(requests.RequestException):  # it may run on without its socket
        client.wait(name, timeout=GONE_WITHIN_S)
    state = client.inspect_container(name)["State"]
    return verdicts.death(None if state["Running"] else int(state["ExitCode"]), killed or bool(state["OOMKilled"]))


def remove(client: docker.APIClient, name: str) -> None:
    """Force a container away, with its volumes; one that has gone is none the worse. Blocks."""
    with contextlib.suppress(docker.errors.NotFound):
        client.remove_container(name, force=True, v=True)


def thaw(client: docker.APIClient, name: str) -> None:
    """Let the processes of a container run again, so that they can be killed. Blocks.

    A runner that died has left its sandboxes frozen, and the kernel kills nobody who is.
    """
    with contextlib.suppress(docker.errors.NotFound):
        freezing.thaw(int(client.inspect_container(name)["State"]["Pid"]))
