"""Sandboxes that are Docker containers: no privileges, a read-only root, and limits on all they could use up.

A container sees three folders of the host, each read-only and its own: a copy of the agent, the folder with its
socket, and its code, which is linked in when a revision is loaded. Its user is its own too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import msgspec
import requests

from faas import artifacts
from faas.core import clock, groups, model
from faas.runtimes import installed, port, table
from runners.sandbox import (
    abilities,
    base,
    cgroups,
    channel,
    confinement,
    docker_calls,
    folder,
    freezing,
    furnishing,
    greeting,
    hosted,
    image,
    languages,
    objects,
    podman,
    rooms,
    socket_memory,
    support,
    sweeping,
    uids,
    veil,
    verdicts,
)

AGENT = "/var/runtime"
LINK = "/var/faas"
TASK = "/var/task"
HOST_NAME = "sandbox"
CPU_PERIOD_US = 100_000
MIN_QUOTA_US = 1_000
SHARES_PER_CPU = 1024
GONE_WITHIN_S = 3
LABEL_DATA_DIR = "faas.data_dir"
LABEL_RUNNER = "faas.runner"
LABEL_NODE = "faas.node"
LABEL_SANDBOX = "faas.sandbox"
_NAME_PREFIX = "faas-"

_log = logging.getLogger(__name__)


class ContainerKind(msgspec.Struct, frozen=True, kw_only=True):
    """All that is the same in the containers of one engine."""

    labels: dict[str, str]
    sandboxes: groups.Sandboxes
    has: abilities.Abilities = abilities.Abilities()
    filter_file: str = ""


class DockerHost:
    """One container, known to the daemon by its name."""

    def __init__(
        self,
        client: docker.APIClient,
        calls: docker_calls.CallThreads,
        sandbox: str,
        folders: folder.SandboxFolders,
        spec: base.Spec,
        users: uids.Uids,
        user: int,
        veils: veil.Veils | None,
        code: artifacts.Artifacts,
    ) -> None:
        self.name = _NAME_PREFIX + sandbox
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

    def launch(self, container: ContainerKind, language: languages.Language) -> asyncio.Future[None]:
        """Create and start it."""
        self._has = container.has
        self._tmp_mb = container.sandboxes.tmp_mb
        options = _options(container, language, self._spec, self._folder, self._sandbox, self._user)
        self._launched = self._calls.slow(_create_and_start, self._client, self.name, options)
        return self._launched

    def watch(self, pid: int) -> None:
        """Keep hold of the agent's process, where this host shows it: it is the quickest way to end the container."""
        if pid <= 0:
            return
        self._pid = pid
        self._memory = cgroups.group(pid, "memory")
        self._cpu = cgroups.group(pid, "cpu")
        self._freezer = freezer = freezing.Freezer(cgroups.group(pid, "freezer"), self._on_thaw)
        self._sockets = socket_memory.SocketWatch(self._memory, pid, lambda: freezer.is_frozen, self._on_sockets_full)
        with contextlib.suppress(OSError):
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
        self._on_thaw()
        try:
            await asyncio.to_thread(self._link, artifact)
        except OSError as error:
            raise base.SandboxLost(f"the code could not be placed: {error.strerror}") from error
        if self._pid > 0 and self._veils is not None:
            covered = self._veils.draw(self._pid, self._folder.path, "task", "tmp", TASK)
            await asyncio.wrap_future(covered)
        return TASK

    def _link(self, artifact: str) -> None:
        self._folder.place(self._code.unpack(artifact))

    def rest(self) -> freezing.Rest | None:
        """Its cgroup, where this host lets us freeze it."""
        return freezing.Rest(self._freezer) if self._freezer is not None and self._freezer.works else None

    def watched(self, channel: channel.Channel) -> hosted.Run:
        """Do nothing: the kernel watches a container's memory."""
        return channel.run

    async def limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        """Set memory and CPU, and the size of the folders that are in memory."""
        resized = None
        if self._pid > 0 and self._veils is not None:
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
        limited = cgroups.limit(self._memory, self._cpu, _limits(config))
        if limited is cgroups.Limited.IN_USE:
            return verdicts.OutOfMemory()
        if limited is cgroups.Limited.YES:
            if self._freezer is not None:
                self._freezer.is_held = True  # some engines freeze a container themselves while they change it
            self._calls.slow(_update, self._client, self.name, config, self._has).add_done_callback(self._on_updated)
            return None
        try:
            return await self._calls.quick(_limited, self._client, self.name, config, self._has)
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
                await asyncio.wait({self._launched})
                self._launched.exception()
            with contextlib.suppress(base.EngineUnavailable):
                await self._calls.slow(_remove, self._client, self.name)
                await asyncio.to_thread(self._folder.remove)
                await asyncio.to_thread(self._users.give_back, self._user, self._sandbox)
        finally:
            if self._process >= 0:
                os.close(self._process)
                self._process = -1
            self._folders.let_go(self._sandbox)


class DockerEngine:
    """A `base.Engine` of containers. Make it with `open`."""

    name = "docker"
    room = None
    isolates = True

    def __init__(
        self,
        client: docker.APIClient,
        calls: docker_calls.CallThreads,
        root: Path,
        sandboxes: groups.Sandboxes,
        find: objects.Find,
    ) -> None:
        self._client = client
        self._calls = calls
        self._root = root
        self._sandboxes = sandboxes
        self._find_bucket = find
        self._code = artifacts.Artifacts(root)
        self._owner = hosted.Removals()
        self._folders = folder.SandboxFolders(folder.place(root))
        self._languages = languages.Languages([])
        self._container = ContainerKind(sandboxes=sandboxes, labels={})
        self._users: uids.Uids | None = None
        self._veils: veil.Veils | None = None

    @classmethod
    async def open(
        cls,
        root: Path,
        sandboxes: groups.Sandboxes,
        find_bucket: objects.Find,
        runtimes: table.Runtimes,
        progress: image.Progress = image.quiet,
    ) -> DockerEngine:
        """Connect, and find, pull or build the image of each runtime. Raises `base.EngineUnavailable`."""
        calls = docker_calls.CallThreads()
        with contextlib.ExitStack() as undo:
            undo.callback(calls.close)
            client = await calls.quick(docker_calls.connect)
            undo.callback(client.close)
            has = await calls.quick(abilities.ask, client)
            support.check(root, sandboxes, has, os.geteuid())
            users = await asyncio.to_thread(uids.open_for, root, sandboxes, has)
            engine = cls(client, calls, root, sandboxes, find_bucket)
            undo.callback(engine._folders.close)
            engine._users = users
            engine._container = await asyncio.to_thread(engine._own, has)
            if has.shares_kernel(sandboxes.sandbox_runtime):
                engine._veils = veil.Veils()
            engine._languages = await calls.slow(engine._found, runtimes, progress)
            undo.pop_all()
        return engine

    @property
    def runtimes(self) -> table.Runtimes:
        """See `base.Engine.runtimes`."""
        return self._languages.runtimes

    @property
    def installed(self) -> Sequence[installed.Installed]:
        """See `base.Engine.installed`: what is in the images."""
        return self._languages.installed

    async def check(self) -> None:
        """See `base.Engine.check`: one ping."""
        await self._calls.quick(_ping)

    async def fetch(self, artifact: str) -> None:
        """See `base.Engine.fetch`: unpacked once for all sandboxes of this machine."""
        await asyncio.to_thread(self._code.unpack, artifact)

    async def start(self, spec: base.Spec) -> base.Sandbox:
        """See `base.Engine.start`."""
        language = self._languages.of(spec)
        if self._users is None:
            raise base.EngineUnavailable("the engine is not open")
        begun = clock.steady_s()
        sandbox = self._folders.next_id()
        own = self._folders.folder(sandbox)
        user = await self._user_of(sandbox, self._users)
        host = DockerHost(
            self._client, self._calls, sandbox, self._folders, spec, self._users, user, self._veils, self._code
        )
        with own.prepared(lambda: self._folders.let_go(sandbox)) as listener:
            try:
                await asyncio.to_thread(furnishing.furnish, own, language.agent, self._owner_of(user))
                launched = host.launch(self._container, language)
                greeted = await greeting.greet(listener, launched, host.is_running)
            except BaseException:
                self._owner.spawn(host.remove(), f"remove {sandbox}")
                raise
        own.hang_up()
        host.watch(greeted.pid)
        try:
            host.check_limited()
        except base.EngineUnavailable:
            greeted.close()
            self._owner.spawn(host.remove(), f"remove {sandbox}")
            raise
        started_ms = round((clock.steady_s() - begun) * 1000)
        return hosted.HostedSandbox(
            sandbox, spec, host, greeted, started_ms, self._owner, self._find_bucket, self._sandboxes
        )

    async def sweep(self) -> int:
        """See `base.Engine.sweep`."""
        swept = await self._calls.slow(_sweep, self._client, self._folders, data_dir_label(self._root))
        if self._users is not None:
            await asyncio.to_thread(self._users.give_back_all, self._folders.has_gone)
        return swept

    async def close(self) -> None:
        """See `base.Engine.close`."""
        await self._owner.finish()
        await sweeping.sweep_at_the_end(self._folders, self.sweep)
        self._folders.close()
        if self._veils is not None:
            self._veils.close()
        self._calls.close()
        self._client.close()

    def _owner_of(self, user: int) -> int | None:
        """Whom the host may give a sandbox's folders to; None where it may not, or does not know its number."""
        return self._container.has.on_host(user) if os.geteuid() == 0 else None

    async def _user_of(self, sandbox: str, users: uids.Uids) -> int:
        try:
            return await asyncio.to_thread(users.take, sandbox)
        except BaseException:
            self._folders.let_go(sandbox)
            raise

    def _own(self, has: abilities.Abilities) -> ContainerKind:
        labels = {
            LABEL_DATA_DIR: data_dir_label(self._root),
            LABEL_RUNNER: self._folders.runner,
            LABEL_NODE: socket.gethostname(),
        }
        try:
            file = confinement.filter_file(has, self._folders.root)
        except OSError as error:
            raise base.EngineUnavailable(f"the filter of calls cannot be written: {error.strerror}") from error
        return ContainerKind(sandboxes=self._sandboxes, labels=labels, has=has, filter_file=file)

    def _found(self, runtimes: table.Runtimes, progress: image.Progress) -> languages.Languages:
        def version(runtime: port.Runtime) -> tuple[str, str]:
            ready = image.ensure(self._client, self._root, runtime.image, progress)
            return ready.runtime, ready.id

        return languages.found(self._folders.root, runtimes, version)


def data_dir_label(root: Path) -> str:
    """What tells the containers of one platform from those of others. Raises `base.EngineUnavailable`."""
    try:
        return folder.identity(folder.place(root))
    except OSError as error:
        raise base.EngineUnavailable(f"the id of the sandboxes cannot be read or made: {error.strerror}") from error


def _options(
    container: ContainerKind, language: languages.Language, spec: base.Spec, own: folder.Folder, sandbox: str, user: int
) -> dict[str, Any]:
    """The body of the call that creates a container."""
    sandboxes = container.sandboxes
    return {
        "Image": language.image,
        "Entrypoint": language.runtime.command(AGENT, LINK),
        "Cmd": [],
        "User": f"{user}:{user}",
        "WorkingDir": "/",
        # Its number has no name in the image, and some libraries ask for one.
        "Env": ["HOME=/tmp", "USER=sandbox", "LOGNAME=sandbox"],
        "Hostname": HOST_NAME,
        "Labels": {**container.labels, LABEL_SANDBOX: sandbox},
        "HostConfig": {
            **confinement.fields(container.has, sandboxes.max_file_mb << 20, container.filter_file),
            "NetworkMode": "none" if spec.network is model.Network.NONE else "bridge",
            # Without a network the engine gives its name no address, and much code asks for its own.
            "ExtraHosts": [f"{HOST_NAME}:127.0.0.1"] if spec.network is model.Network.NONE else [],
            "Runtime": sandboxes.sandbox_runtime,
            "Memory": spec.memory_mb << 20,
            "MemorySwap": confinement.with_swap(spec.memory_mb << 20, container.has),
            "CpuPeriod": CPU_PERIOD_US,
            "CpuQuota": _quota_us(spec.cpu_milli),
            "CpuShares": _shares(spec.cpu_milli) if container.has.has_cpu_shares else 0,
            "PidsLimit": sandboxes.max_pids,
            "Tmpfs": {"/tmp": f"rw,nosuid,nodev,exec,size={sandboxes.tmp_mb}m,mode=1777"},  # noqa: S108 - the sandbox's
            "LogConfig": {"Type": "none"},
            "Mounts": [
                _mount(own.agent, AGENT),
                _mount(own.link, LINK),
                _mount(own.task, TASK),
            ],
        },
    }


def _mount(source: Path, target: str) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True}


def _quota_us(cpu_milli: int) -> int:
    return max(MIN_QUOTA_US, cpu_milli * CPU_PERIOD_US // 1000)


def _shares(cpu_milli: int) -> int:
    return max(2, cpu_milli * SHARES_PER_CPU // 1000)


def _create_and_start(client: docker.APIClient, name: str, options: dict[str, Any]) -> None:
    untyped: Any = client
    untyped.create_container_from_config(options, name)
    client.start(name)


def _limits(config: model.FunctionConfig) -> cgroups.Allowance:
    return cgroups.Allowance(
        memory_bytes=config.memory_mb << 20,
        quota_us=_quota_us(config.cpu_milli),
        period_us=CPU_PERIOD_US,
        shares=_shares(config.cpu_milli),
    )


def _update(client: docker.APIClient, name: str, config: model.FunctionConfig, has: abilities.Abilities) -> None:
    if has.maker == abilities.PODMAN:
        podman.update(client, name, _limits(config), confinement.with_swap(config.memory_mb << 20, has))
        return
    client.update_container(
        name,
        mem_limit=config.memory_mb << 20,
        memswap_limit=confinement.with_swap(config.memory_mb << 20, has),
        cpu_period=CPU_PERIOD_US,
        cpu_quota=_quota_us(config.cpu_milli),
        cpu_shares=_shares(config.cpu_milli) if has.has_cpu_shares else None,
    )


def _limited(
    client: docker.APIClient, name: str, config: model.FunctionConfig, has: abilities.Abilities
) -> verdicts.OutOfMemory | None:
    """Set the limits; OutOfMemory when the engine refuses because more memory is in use, by what it counts itself."""
    try:
        _update(client, name, config, has)
    except docker.errors.NotFound:
        raise
    except docker.errors.APIError:
        if _used_bytes(client, name) > config.memory_mb << 20:
            return verdicts.OutOfMemory()
        raise
    return None


def _used_bytes(client: docker.APIClient, name: str) -> int:
    """The memory that a container holds. The kernel has dropped what it could before it refused a lower limit."""
    untyped: Any = client
    found: dict[str, Any] = untyped.stats(name, stream=False, one_shot=True)
    return int(found.get("memory_stats", {}).get("usage", 0))


def _death(client: docker.APIClient, name: str, killed: bool) -> verdicts.Death:
    with contextlib.suppress(requests.RequestException):  # it may run on without its socket
        client.wait(name, timeout=GONE_WITHIN_S)
    state = client.inspect_container(name)["State"]
    return verdicts.death(None if state["Running"] else int(state["ExitCode"]), killed or bool(state["OOMKilled"]))


def _remove(client: docker.APIClient, name: str) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        client.remove_container(name, force=True, v=True)


def _thaw(client: docker.APIClient, name: str) -> None:
    """A runner that died has left its sandboxes frozen, and the kernel kills nobody who is."""
    with contextlib.suppress(docker.errors.NotFound):
        freezing.thaw(int(client.inspect_container(name)["State"]["Pid"]))


def _ping() -> None:
    client = docker_calls.connect(docker_calls.PING_WITHIN_S)
    client.close()


def _sandbox_of(container: dict[str, Any]) -> str | None:
    """The sandbox that a container is; None for one that only has our labels.

    Anybody may set labels, and an image passes on those that it was made with. Names are given by who makes it, and
    are unique.
    """
    sandbox = str((container.get("Labels") or {}).get(LABEL_SANDBOX, ""))
    is_ours = folder.is_id(sandbox) and f"/{_NAME_PREFIX}{sandbox}" in (container.get("Names") or ())
    return sandbox if is_ours else None


def _sweep(client: docker.APIClient, folders: folder.SandboxFolders, data_dir: str) -> int:
    def found() -> list[str]:
        labels = {"label": f"{LABEL_DATA_DIR}={data_dir}"}
        return [name for each in client.containers(all=True, filters=labels) if (name := _sandbox_of(each))]

    def remove(sandbox: str) -> bool:
        try:
            _thaw(client, _NAME_PREFIX + sandbox)
            _remove(client, _NAME_PREFIX + sandbox)
        except docker.errors.APIError as error:  # another removes it just now, or the engine cannot yet
            _log.debug("not_removed", extra={"sandbox": sandbox, "reason": error.explanation})
            return False
        # Without its folders, which it would mount, a container that was asked for is not created any more.
        folders.folder(sandbox).remove()
        return True

    return sweeping.sweep(folders, found, remove, sweeping.SETTLE_S)
