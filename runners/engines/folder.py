"""The folders of sandboxes in the data directory, and which runner each belongs to.

::

    R/sandboxes/<runner>.lock       held (flock) by a live runner; the kernel lets go of it when the runner dies, and it
                                    stays until what the runner left is swept
    R/sandboxes/<runner>-<n>/link/s the socket, until the agent has connected
    R/sandboxes/<runner>-<n>/task/  the code (containers only)
    R/sandboxes/<runner>-<n>/agent/ a copy of the agent (containers only)
    R/sandboxes/<runner>-<n>/tmp/   /tmp (process sandboxes only)
    R/sandboxes/agent-<digest>/     the agent, with its bytecode
    R/sandboxes/id                  a random word: what tells the containers of this data directory from others
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
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from faas.core import clock
from faas.core.processes import locks
from runners.sandbox import base

_SANDBOX = re.compile(r"^([0-9a-f]{12})-\d+$")
_LOCK = re.compile(r"^([0-9a-f]{12})\.lock$")
_ID = re.compile(r"^[0-9a-f]{32}$")


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
    def agent(self) -> Path:
        """The agent."""
        return self.path / "agent"

    @property
    def tmp(self) -> Path:
        """A place for temporary files of a sandbox without a /tmp of its own."""
        return self.path / "tmp"

    def make(self) -> None:
        """Make it, readable for the sandbox's user whatever the umask is; the folder around it is not."""
        for path, mode in ((self.path, 0o755), (self.link, 0o755), (self.task, 0o755), (self.tmp, 0o1777)):
            path.mkdir()
            path.chmod(mode)

    @contextlib.contextmanager
    def prepared(self, give_up: Callable[[], None]) -> Iterator[socket.socket]:
        """Make it and `listen` in it for the length of the block. Raises `base.EngineUnavailable`.

        ``give_up`` is called when that fails: a sweep has to remove what was made of it.
        """
        try:
            self.make()
            listener = self.listen()
        except OSError as error:
            give_up()
            raise base.EngineUnavailable(f"no folder for a sandbox could be made: {error.strerror}") from error
        with listener:
            yield listener

    def listen(self) -> socket.socket:
        """The socket to await the agent on. The path may be longer than an address may be."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # An address has room for 107 bytes; a path through a descriptor is short wherever the folder is.
        folder = os.open(self.link, os.O_PATH | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/s")
            # Who may connect is said by the folders around it.
            (self.link / "s").chmod(0o666)
            # The agent alone calls, once.
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


class SandboxFolders:
    """All folders of one data directory, seen by one runner, whose lock is held until `close`.

    What belongs to a dead runner is left behind, and so is what this one has let go of and could not remove.
    """

    def __init__(self, root: Path, home: Path | None = None) -> None:
        """``home`` is where the folders of sandboxes are, when they are not beside the locks."""
        self.root = root
        self.home = home or root
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.runner = secrets.token_hex(6)
        self._count = 0
        self._held: set[str] = set()
        self._dead_since: dict[str, float] = {}
        self._lock = _lock(_lock_path(self.root, self.runner))

    def next_id(self) -> str:
        """The id of the runner's next sandbox, which it holds until `let_go`."""
        self._count += 1
        sandbox = f"{self.runner}-{self._count}"
        self._held.add(sandbox)
        return sandbox

    def let_go(self, sandbox: str) -> None:
        """The runner is done with its sandbox: whatever is there of it yet is to be swept."""
        self._held.discard(sandbox)

    def let_go_of_all(self) -> None:
        """The runner is done with all of them."""
        self._held.clear()

    def folder(self, sandbox: str) -> Folder:
        """The folder of a sandbox. Raises `ValueError` for what is no id of one: it could name any folder."""
        if not is_id(sandbox):
            raise ValueError(f"{sandbox[:80]!r} is no id of a sandbox")
        return Folder(self.home / sandbox)

    def is_left_behind(self, sandbox: str) -> bool:
        """Whether nobody is there any more who would remove that sandbox."""
        runner = runner_of(sandbox)
        return sandbox not in self._held if runner == self.runner else not _is_live(self.root, runner)

    def has_gone(self, sandbox: str) -> bool:
        """Whether nothing is left of a sandbox, and nobody is there who would make anything of it."""
        return is_id(sandbox) and self.is_left_behind(sandbox) and not self.folder(sandbox).path.exists()

    def left_behind(self) -> list[str]:
        """The ids of sandboxes that are left behind and whose folder is still there."""
        return sorted(name for name in _names(self.home) if is_id(name) and self.is_left_behind(name))

    def dead(self) -> dict[str, float]:
        """The dead runners that are not forgotten yet, and since when (monotonic seconds) this one knows."""
        now = clock.steady_s()
        # When one died nobody knows; it was no later than it was first seen dead.
        self._dead_since = {runner: self._dead_since.get(runner, now) for runner in dead_runners(self.root)}
        return dict(self._dead_since)

    def forget(self, runner: str) -> None:
        """Remove a dead runner's lock: nothing of it is left, and nothing will come."""
        _lock_path(self.root, runner).unlink(missing_ok=True)

    def close(self) -> None:
        """The runner has no sandboxes any more. Safe to call twice."""
        if self._lock >= 0:
            self.forget(self.runner)
            os.close(self._lock)
            self._lock = -1


def place(root: Path) -> Path:
    """Where a platform has these folders."""
    return root / "sandboxes"


def dead_runners(root: Path) -> set[str]:
    """The runners of whom something is left in a folder of sandboxes, and who are dead."""
    matches = [_LOCK.match(name) or _SANDBOX.match(name) for name in _names(root)]
    return {runner for runner in {match[1] for match in matches if match} if not _is_live(root, runner)}


def is_id(text: str) -> bool:
    """Whether a word, which may come from anybody, has the form of a sandbox's id."""
    return _SANDBOX.fullmatch(text) is not None


def identity(root: Path) -> str:
    """The random word of a folder of sandboxes, made when there is none. Raises `OSError`."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "id"
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # runners that start at once have to agree on one
        found = path.read_text(errors="replace").strip() if path.exists() else ""
        if not _ID.fullmatch(found):
            found = secrets.token_hex(16)
            fresh = path.with_name(".id")
            fresh.write_text(f"{found}\n")
            fresh.replace(path)
        return found
    finally:
        os.close(folder)


def runner_of(sandbox: str) -> str:
    """The runner that made a sandbox, by its id."""
    return sandbox.rpartition("-")[0]


def _names(root: Path) -> list[str]:
    return [path.name for path in root.iterdir()] if root.is_dir() else []


def _lock_path(root: Path, runner: str) -> Path:
    return root / f"{runner}.lock"


def _is_live(root: Path, runner: str) -> bool:
    """Whether that runner's process lives, running or stopped."""
    try:
        lock = os.open(_lock_path(root, runner), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not locks.taken(lock, shared=True)
    finally:
        os.close(lock)


def _lock(path: Path) -> int:
    """An exclusive lock on a file that still has its name: a sweep may remove one that nobody has locked yet."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            # Between the two lines above a sweep may have removed the name, and the lock would be on a file that nobody
            # finds.
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
                    Path(path).chmod(0o755)  # the sandbox's user is another one, and the umask keeps others out
                _link_tree(entry.path, path)
            else:
                _link(entry.path, path)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        # Another file system, one without links, a kernel that protects others' files from links, or as many links as
        # may be.
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copy2(source, target, follow_symlinks=False)
