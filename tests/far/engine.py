"""An engine whose sandboxes stand for pods on another machine: each has one TCP connection to its runner, and no more.

Where this host lets us, each has namespaces of its own for its network, its mounts and its processes: its data
directory is an empty file system in memory, and so is every folder that the test hides. Its only way out is the
connection, which is made before it enters them. Elsewhere it is a plain process that calls home by itself.

What stands for the cluster here is what it says of a pod without being in it: that it has exited, with which status,
or that its memory ran out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from faas import artifacts
from faas.core import clock, model, settings
from faas.core.processes import tether
from faas.runtimes import installed, port, table
from runners.engines import languages
from runners.engines.process import memory_watch
from runners.sandbox import base, channel, door, greeting, hosted, objects, verdicts

_APART = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_HIDE = 'for folder in $HIDDEN; do mount -t tmpfs -o size=256m none "$folder" || exit 71; done; exec "$@"'


@functools.cache
def can_be_apart() -> bool:
    """Whether sandboxes can have namespaces of their own here."""
    return shutil.which("unshare") is not None and subprocess.run([*_APART, "true"], stderr=-3).returncode == 0


class FarPlace:
    """A `hosted.Place`: one process, about which is known what a cluster would tell."""

    def __init__(self, process: subprocess.Popen[bytes], own: Path, code: artifacts.Artifacts) -> None:
        self._process = process
        self._own = own
        self._code = code
        self._watch: memory_watch.MemoryWatch | None = None
        self._channel: channel.Channel | None = None
        self._has_too_much = False

    async def is_running(self) -> bool:
        return self._process.poll() is None

    async def show(self, artifact: str, channel: channel.Channel) -> str:
        return await channel.place(await asyncio.to_thread(self._code.open, artifact), str(self._own / "task"))

    def rest(self) -> None:
        return None

    def watched(self, channel: channel.Channel) -> hosted.Run:
        self._channel = channel
        return channel.run

    def cpu_us(self) -> int | None:
        return None

    async def limit(self, config: model.FunctionConfig) -> verdicts.OutOfMemory | None:
        pid = _last_child(self._process.pid)
        self._watch = memory_watch.MemoryWatch(pid, lambda: self._process.poll() is None, self._on_too_much)
        if self._channel is not None:
            self._watch.limited_run(self._channel)
        self._watch.begin(config.memory_mb << 20)
        return None

    async def why_gone(self, told: verdicts.Exited | None) -> verdicts.Death:
        if self._has_too_much:
            return verdicts.OutOfMemory()
        if told is not None:
            return told
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                code = await tether.exited(self._process)
                return verdicts.Exited(code if code >= 0 else 128 - code)
        return verdicts.Vanished("nothing is heard of it")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL) if self._process.returncode is None else None

    async def remove(self) -> None:
        if self._watch is not None:
            self._watch.end()
        self.kill()
        await tether.exited(self._process)
        await asyncio.to_thread(shutil.rmtree, self._own, ignore_errors=True)

    def _on_too_much(self) -> None:
        self._has_too_much = True
        self.kill()


class FarEngine:
    """A `base.Engine`. ``hidden`` are folders that its sandboxes see empty, besides the data directory."""

    name = "far"
    room: base.EngineRoom | None = None
    isolates = True

    def __init__(
        self,
        limits: settings.Settings,
        find_bucket: objects.Find,
        runtimes: table.Runtimes,
        hidden: Sequence[Path] = (),
        *,
        apart: bool | None = None,
    ) -> None:
        self.door = door.Door.open("127.0.0.1")
        self.places: dict[str, FarPlace] = {}
        self._apart = can_be_apart() if apart is None else apart
        self._limits = limits
        self._find = find_bucket
        self._hidden = [limits.data.root, *hidden]
        self._code = artifacts.Artifacts(limits.data.root)
        self._languages = languages.Languages([_language(runtime) for runtime in runtimes])
        self._owner = hosted.Removals()
        self._count = 0

    @property
    def runtimes(self) -> table.Runtimes:
        return self._languages.runtimes

    @property
    def installed(self) -> Sequence[installed.Installed]:
        return self._languages.installed

    async def check(self) -> None:
        return

    async def fetch(self, artifact: str) -> None:
        (await asyncio.to_thread(self._code.open, artifact)).close()

    async def start(self, spec: base.Spec) -> base.Sandbox:
        language = self._languages.of(spec)
        begun = clock.steady_s()
        self._count += 1
        sandbox = f"far-{self._count}"
        launched = asyncio.get_running_loop().create_future()
        launched.set_result(None)
        with self.door.expecting() as expected:
            place = self.places[sandbox] = self._launch(language, expected.word)
            try:
                greeted = await greeting.meet(expected.greeted, launched, place.is_running)
            except BaseException:
                self._owner.spawn(place.remove(), f"remove {sandbox}")
                raise
        started_ms = round((clock.steady_s() - begun) * 1000)
        return hosted.HostedSandbox(
            sandbox, spec, place, greeted, started_ms, self._owner, self._find, self._limits.sandboxes
        )

    async def sweep(self) -> int:
        """Nothing is left: a sandbox whose runner has gone ends by itself."""
        return 0

    async def close(self) -> None:
        await self._owner.finish()
        await self.door.close()

    def _launch(self, language: languages.Language, word: str) -> FarPlace:
        self._limits.data.root.mkdir(parents=True, exist_ok=True)
        own = self._limits.data.root if self._apart else Path(tempfile.mkdtemp(prefix="far-"))
        env = {"PATH": os.environ["PATH"], "HOME": str(own), "TMPDIR": str(own), door.WORD_IN: word}
        env["HIDDEN"] = " ".join(map(str, self._hidden))
        if not self._apart:
            link = "tcp:{}:{}".format(*self.door.address)
            command = language.runtime.command_here(str(language.agent), link)
            return FarPlace(self._started(command, env, own, ()), own, self._code)
        with socket.create_connection(self.door.address) as sock:
            command = language.runtime.command_here(str(language.agent), f"fd:{sock.fileno()}")
            command = [*_APART, "sh", "-c", _HIDE, "sh", *command]
            return FarPlace(self._started(command, env, own, (sock.fileno(),)), own / "sandbox", self._code)

    def _started(
        self, command: list[str], env: dict[str, str], own: Path, passed: tuple[int, ...]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, env=env, cwd="/", pass_fds=passed, stdin=subprocess.DEVNULL, start_new_session=True
        )


def _language(runtime: port.Runtime) -> languages.Language:
    has = runtime.here()
    assert has is not None
    return languages.Language(runtime=runtime, has=has, agent=runtime.agent.folder)


def _last_child(pid: int) -> int:
    """The agent: the child of the process that stands before it, by this host's numbers."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid
