"""Sandboxes that are processes of this machine and isolate nothing: for development without Docker.

Each is a session of its own and is killed whole, also what has left the session: every descendant carries the folder
of its sandbox in its environment. Where the platform runs as root each is also a user of its own (`dropped`). Memory
is watched, not limited: what a process takes beyond its function's memory between two looks, it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from faas import artifacts
from faas.core import clock, groups, model
from faas.core.processes import tether
from faas.runtimes import installed, port, table
from runners.engines import folder, languages, processor_time, sweeping
from runners.engines.process import dropped, memory_watch, readable_python
from runners.sandbox import base, channel, greeting, hosted, objects, verdicts

EXIT_WITHIN_S = 1.0
MAX_OPEN_FILES = 1024
USUAL_UMASK = 0o022
"""That of functions, in containers too; the platform's own keeps all others out."""
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"


class ProcessHost:
    """One process with the agent in it, and whatever it starts."""

    def __init__(
        self,
        sandbox: str,
        folders: folder.SandboxFolders,
        language: languages.Language,
        sandboxes: groups.Sandboxes,
        users: dropped.Users | None,
        user: dropped.User | None,
        code: artifacts.Artifacts,
    ) -> None:
        self._code = code
        self._sandbox = sandbox
        self._folders = folders
        self._users = users
        self._is_apart = user is not None
        self._folder = own = folders.folder(sandbox)
        self._killed_for_memory = False
        tmp = str(own.tmp)
        python = users.python if users is not None else readable_python.Interpreter(sys.executable)
        command = language.runtime.command_here(str(language.agent), str(own.link))
        if command[0] == sys.executable:  # which another user may not be able to run
            command[0] = python.path
        most, number = _most(sandboxes, is_apart=user is not None), None if user is None else user.number
        self._process = subprocess.Popen(
            tether.tethered(command, python.path, most, number),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": _PATH, "HOME": tmp, "TMPDIR": tmp, **python.environ},
            start_new_session=True,
            umask=USUAL_UMASK,
        )
        self._watch = memory_watch.MemoryWatch(
            self._process.pid, lambda: self._process.poll() is None, self._has_too_much
        )
        self._account = processor_time.ProcessAccount(self._process.pid)

    async def is_running(self) -> bool:
        """Whether the agent's process lives."""
        return self._process.poll() is None

    async def show(self, artifact: str, _channel: channel.Channel) -> str:
        """The code where it is, as nothing here keeps a process from reading elsewhere; to another user it is shown."""
        try:
            return str(await asyncio.to_thread(self._shown, artifact))
        except OSError as error:
            raise base.SandboxLost(f"the code could not be shown to the sandbox: {error.strerror}") from error

    def _shown(self, artifact: str) -> Path:
        code = self._code.unpack(artifact)
        if not self._is_apart:
            return code
        self._folder.place(code)
        return self._folder.task

    def rest(self) -> None:
        """Do nothing: nothing stops a process between its attempts."""
        return

    def cpu_us(self) -> int | None:
        """By the process's own clock; once it has been waited for, its number may be another's."""
        return self._account.used_us() if self._process.returncode is None else None

    def watched(self, channel: channel.Channel) -> hosted.Run:
        """Its memory is looked at often from the beginning of an attempt on."""
        return self._watch.limited_run(channel)

    async def limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        """Watch the function's memory from now on."""
        self._watch.begin(config.memory_mb << 20)
        return None

    async def why_gone(self, _told: verdicts.Exited | None) -> verdicts.Death:
        """The exit status of the process, which may take a moment; no status when it runs on without its socket."""
        if self._killed_for_memory:
            return verdicts.OutOfMemory()
        try:
            async with asyncio.timeout(EXIT_WITHIN_S):
                code = await tether.exited(self._process)
        except TimeoutError:
            return verdicts.Exited(None)
        # Python has the signal's number below zero.
        return verdicts.Exited(code if code >= 0 else verdicts.RESERVED_EXIT - code)

    def kill(self) -> None:
        """Kill the session; once its leader has been waited for, its number may be another's, and `remove` has to."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def remove(self) -> None:
        """Kill the session and all that has left it, reap the process, remove the folder."""
        self._watch.end()
        self.kill()
        try:
            await tether.exited(self._process)
            await asyncio.to_thread(_remove, self._sandbox, self._folder, self._users)
        finally:
            self._folders.let_go(self._sandbox)

    def _has_too_much(self) -> None:
        self._killed_for_memory = True
        self.kill()


class ProcessEngine:
    """A `base.Engine` of processes."""

    name = "process"
    room = None
    isolates = False

    def __init__(
        self, root: Path, sandboxes: groups.Sandboxes, find_bucket: objects.Find, runtimes: table.Runtimes
    ) -> None:
        """Blocks. Raises `base.EngineUnavailable` when it runs as root and cannot run processes as others."""
        self._sandboxes = sandboxes
        self._find_bucket = find_bucket
        self._code = artifacts.Artifacts(root)
        place = folder.place(root)
        is_root = os.geteuid() == 0
        self._users = dropped.Users(root, sandboxes) if is_root else None
        self._home = dropped.Home(place) if is_root else None
        self._folders = folder.SandboxFolders(place, self._home.path if self._home is not None else None)
        self._languages = languages.found(self._folders.home, runtimes, _version)
        self._owner = hosted.Removals()

    @property
    def runtimes(self) -> table.Runtimes:
        """See `base.Engine.runtimes`."""
        return self._languages.runtimes

    @property
    def installed(self) -> Sequence[installed.Installed]:
        """See `base.Engine.installed`: what this host has."""
        return self._languages.installed

    async def check(self) -> None:
        """Processes can always be started."""

    async def fetch(self, artifact: str) -> None:
        """See `base.Engine.fetch`: unpacked once for all sandboxes of this machine."""
        await asyncio.to_thread(self._code.unpack, artifact)

    async def start(self, spec: base.Spec) -> base.Sandbox:
        """See `base.Engine.start`. Memory, CPU and network of ``spec`` bind nobody here."""
        language = self._languages.of(spec)
        begun = clock.steady_s()
        sandbox = self._folders.next_id()
        own = self._folders.folder(sandbox)
        user = await asyncio.to_thread(self._users.take, sandbox) if self._users is not None else None
        with own.prepared(lambda: self._folders.let_go(sandbox)) as listener:
            host = self._launch(sandbox, own, language, user)
            launched = asyncio.get_running_loop().create_future()
            launched.set_result(None)
            try:
                greeted = await greeting.greet(listener, launched, host.is_running)
            except BaseException:
                self._owner.spawn(host.remove(), f"remove {sandbox}")
                raise
        own.hang_up()
        started_ms = round((clock.steady_s() - begun) * 1000)
        return hosted.HostedSandbox(
            sandbox, spec, host, greeted, started_ms, self._owner, self._find_bucket, self._sandboxes
        )

    async def sweep(self) -> int:
        """See `base.Engine.sweep`."""
        return await asyncio.to_thread(self._sweep)

    async def close(self) -> None:
        """See `base.Engine.close`."""
        await self._owner.finish()
        await sweeping.sweep_at_the_end(self._folders, self.sweep)
        self._folders.close()
        if self._home is not None:
            self._home.close()

    def _launch(
        self, sandbox: str, own: folder.Folder, language: languages.Language, user: dropped.User | None
    ) -> ProcessHost:
        try:
            if user is not None:
                user.own(own)
            return ProcessHost(sandbox, self._folders, language, self._sandboxes, self._users, user, self._code)
        except OSError as error:
            self._folders.let_go(sandbox)
            raise base.EngineUnavailable(f"no process could be started: {error.strerror}") from error

    def _sweep(self) -> int:
        # A process exists when its start returns, or never: nothing comes about later.
        swept = sweeping.sweep(self._folders, tuple, self._remove_left, settle_s=0)
        if self._users is not None:
            self._users.give_back_all(self._folders.has_gone)
        return swept

    def _remove_left(self, sandbox: str) -> bool:
        _remove(sandbox, self._folders.folder(sandbox), self._users)
        return True


def _version(runtime: port.Runtime) -> tuple[str, str] | None:
    has = runtime.here()
    return None if has is None else (has, "")


def _most(sandboxes: groups.Sandboxes, *, is_apart: bool) -> dict[int, int]:
    """The limits of a sandbox's processes. Their number is that of a user, who may be no other process's then."""
    most = {
        resource.RLIMIT_FSIZE: sandboxes.max_file_mb << 20,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    return {**most, resource.RLIMIT_NPROC: sandboxes.max_pids} if is_apart else most


def _remove(sandbox: str, own: folder.Folder, users: dropped.Users | None) -> None:
    if users is None:
        _kill_descendants(own)
        own.remove()
        return
    users.kill(sandbox)
    own.remove()
    users.give_back(sandbox)  # last: who has it next is the owner of what the sandbox has made


def _kill_descendants(own: folder.Folder) -> None:
    """Kill every process whose environment names the sandbox's folder; those that hide are not found."""
    # Between zeros, as what is longer may be another sandbox's.
    mark = b"\0TMPDIR=" + os.fsencode(own.tmp) + b"\0"
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - names are all that is wanted
        try:
            if mark in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
                os.kill(int(pid), signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue
