"""The folders of sandboxes in the data directory, and which runner each belongs to.

::

    R/sandboxes/<runner>.lock       held (flock) by a live runner; the kernel lets go of it when the runner dies
    R/sandboxes/<runner>-<n>/link/s the socket, until the agent has connected
    R/sandboxes/<runner>-<n>/task/  the code (containers only)
    R/sandboxes/<runner>-<n>/tmp/   /tmp (process sandboxes only)
    R/sandboxes/agent-<digest>/     the agent, with its bytecode
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import socket
from pathlib import Path

import msgspec

_SANDBOX = re.compile(r"^([0-9a-f]{12})-\d+$")
_LOCK = re.compile(r"^([0-9a-f]{12})\.lock$")


class Folder(msgspec.Struct, frozen=True):
    """The folder of one sandbox."""

    path: Path

    @property
    def link(self) -> Path:
        """What the agent gets to see, as the place of the socket."""
        return self.path / "link"

    @property
    def task(self) -> Path:
        """The code."""
        return self.path / "task"

    @property
    def tmp(self) -> Path:
        """A place for temporary files of a sandbox without a /tmp of its own."""
        return self.path / "tmp"

    def make(self) -> None:
        """Make it, readable for the sandbox's user whatever the umask is; the folder around it is not."""
        for path, mode in ((self.path, 0o755), (self.link, 0o755), (self.task, 0o755), (self.tmp, 0o1777)):
            path.mkdir()
            path.chmod(mode)

    def listen(self) -> socket.socket:
        """The socket to await the agent on. The path may be longer than an address may be."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        folder = os.open(self.link, os.O_PATH | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/s")
            (self.link / "s").chmod(0o666)
            listener.listen(1)
        except OSError:
            listener.close()
            raise
        finally:
            os.close(folder)
        return listener

    def hang_up(self) -> None:
        """Nobody else may connect."""
        (self.link / "s").unlink(missing_ok=True)

    def place(self, code: Path) -> None:
        """Show the unpacked artifact in `task`, as hard links where the file system can."""
        _link_tree(str(code), str(self.task))

    def remove(self) -> None:
        """Remove all of it. Safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)


class Folders:
    """All folders of one data directory, seen by one runner, whose lock is held until `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.runner = secrets.token_hex(6)
        self._count = 0
        self._lock = _lock(self._lock_path(self.runner))

    def next_id(self) -> str:
        """The id of the runner's next sandbox."""
        self._count += 1
        return f"{self.runner}-{self._count}"

    def folder(self, sandbox: str) -> Folder:
        """The folder of a sandbox."""
        return Folder(self.root / sandbox)

    def is_live(self, runner: str) -> bool:
        """Whether that runner's process lives."""
        if runner == self.runner:
            return True
        try:
            lock = os.open(self._lock_path(runner), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def left_behind(self) -> list[str]:
        """The ids of sandboxes whose runner is dead and whose folder is still there."""
        found = [match for match in map(_SANDBOX.match, self._names()) if match]
        dead = {runner for runner in {match[1] for match in found} if not self.is_live(runner)}
        return sorted(match[0] for match in found if match[1] in dead)

    def forget_dead(self) -> None:
        """Remove the locks of dead runners; call it when nothing of theirs is left."""
        for match in filter(None, map(_LOCK.match, self._names())):
            if not self.is_live(match[1]):
                self._lock_path(match[1]).unlink(missing_ok=True)

    def close(self) -> None:
        """The runner has no sandboxes any more. Safe to call twice."""
        if self._lock >= 0:
            self._lock_path(self.runner).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def _names(self) -> list[str]:
        return [path.name for path in self.root.iterdir()]

    def _lock_path(self, runner: str) -> Path:
        return self.root / f"{runner}.lock"


def runner_of(sandbox: str) -> str:
    """The runner that made a sandbox, by its id."""
    return sandbox.rpartition("-")[0]


def _lock(path: Path) -> int:
    """An exclusive lock on a file that still has its name: a sweep may remove one that nobody has locked yet."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)


def _link_tree(source: str, target: str) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            path = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileExistsError):
                    Path(path).mkdir()
                _link_tree(entry.path, path)
            else:
                _link(entry.path, path)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copy2(source, target, follow_symlinks=False)
