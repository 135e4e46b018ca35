"""Sandboxes that are Docker containers: no privileges, a read-only root, and limits on all they could use up.

A container sees three folders of the host, each read-only and its own: a copy of the agent, the folder with its
socket, and its code, which is linked in when a revision is loaded. Its user is its own too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors

from faas import artifacts
from faas.core import clock, groups
from faas.runtimes import installed, port, table
from runners.engines import folder, languages, sweeping, uids
from runners.engines.docker import abilities, confinement, container, daemon, furnishing, image, making, support, veil
from runners.sandbox import base, greeting, hosted, objects

_log = logging.getLogger(__name__)


class DockerEngine:
    """A `base.Engine` of containers. Make it with `open`."""

    name = "docker"
    room = None
    isolates = True

    def __init__(
        self,
        client: docker.APIClient,
        calls: daemon.CallThreads,
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
        self._kind = making.ContainerKind(sandboxes=sandboxes, labels={})
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
        calls = daemon.CallThreads()
        with contextlib.ExitStack() as undo:
            undo.callback(calls.close)
            client = await calls.quick(daemon.connect)
            undo.callback(client.close)
            has = await calls.quick(abilities.ask, client)
            support.check(root, sandboxes, has, os.geteuid())
            users = await asyncio.to_thread(uids.open_for, root, sandboxes, remaps_users=has.remaps_users)
            engine = cls(client, calls, root, sandboxes, find_bucket)
            undo.callback(engine._folders.close)
            engine._users = users
            engine._kind = await asyncio.to_thread(engine._own, has)
            if has.shares_kernel(sandboxes.sandbox_runtime):
                engine._veils = veil.Veils()
            engine._languages = await calls.slow(engine._found, runtimes, progress)
            # Nothing failed: what was opened stays open.
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
        host = container.DockerHost(
            self._client, self._calls, sandbox, self._folders, spec, self._users, user, self._veils, self._code
        )
        with own.prepared(lambda: self._folders.let_go(sandbox)) as listener:
            try:
                await asyncio.to_thread(furnishing.furnish, own, language.agent, self._owner_of(user))
                launched = host.launch(self._kind, language)
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
            # Users of sandboxes whose runner died before it had made a folder: no sweep of folders finds those.
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
        return self._kind.has.on_host(user) if os.geteuid() == 0 else None

    async def _user_of(self, sandbox: str, users: uids.Uids) -> int:
        try:
            return await asyncio.to_thread(users.take, sandbox)
        except BaseException:
            self._folders.let_go(sandbox)
            raise

    def _own(self, has: abilities.Abilities) -> making.ContainerKind:
        labels = {
            making.LABEL_DATA_DIR: data_dir_label(self._root),
            making.LABEL_RUNNER: self._folders.runner,
            making.LABEL_NODE: socket.gethostname(),
        }
        try:
            file = confinement.filter_file(has, self._folders.root)
        except OSError as error:
            raise base.EngineUnavailable(f"the filter of calls cannot be written: {error.strerror}") from error
        return making.ContainerKind(sandboxes=self._sandboxes, labels=labels, has=has, filter_file=file)

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


def _ping() -> None:
    client = daemon.connect(daemon.PING_WITHIN_S)
    client.close()


def _sandbox_of(found: dict[str, Any]) -> str | None:
    """The sandbox that a container is; None for one that only has our labels.

    Anybody may set labels, and an image passes on those that it was made with. Names are given by who makes it, and
    are unique.
    """
    sandbox = str((found.get("Labels") or {}).get(making.LABEL_SANDBOX, ""))
    is_ours = folder.is_id(sandbox) and f"/{container.NAME_PREFIX}{sandbox}" in (found.get("Names") or ())
    return sandbox if is_ours else None


def _sweep(client: docker.APIClient, folders: folder.SandboxFolders, data_dir: str) -> int:
    def found() -> list[str]:
        labels = {"label": f"{making.LABEL_DATA_DIR}={data_dir}"}
        return [name for each in client.containers(all=True, filters=labels) if (name := _sandbox_of(each))]

    def remove(sandbox: str) -> bool:
        try:
            container.thaw(client, container.NAME_PREFIX + sandbox)
            container.remove(client, container.NAME_PREFIX + sandbox)
        except docker.errors.APIError as error:  # another removes it just now, or the engine cannot yet
            _log.debug("not_removed", extra={"sandbox": sandbox, "reason": error.explanation})
            return False
        # Without its folders, which it would mount, a container that was asked for is not created any more.
        folders.folder(sandbox).remove()
        return True

    return sweeping.sweep(folders, found, remove, sweeping.SETTLE_S)
