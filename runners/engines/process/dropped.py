"""Processes of a platform that runs as root: each sandbox is a user of its own, who owns nothing of the platform's.

What a sandbox has to read lies outside of the data directory, which is closed to others as those above it may be::

    /var/tmp/faas-<id of the data directory>/           root's; others pass through it and see no names
    /var/tmp/faas-<id>/agent-<digest>/                  the agent
    /var/tmp/faas-<id>/<runner>-<n>/                    its group alone may enter
    /var/tmp/faas-<id>/<runner>-<n>/{link,task}         root's: the socket, the code as hard links or copies
    /var/tmp/faas-<id>/<runner>-<n>/tmp                 the sandbox's own
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from faas.core import groups
from runners.engines import folder, uids
from runners.engines.process import readable_python
from runners.sandbox import base

_ABOVE = Path("/var/tmp")  # noqa: S108 - the name within is the data directory's secret, and whose it is is checked
_ROUNDS = 20
_KILL_ALL = """
import os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
os.kill(-1, 9)
"""


class User(msgspec.Struct, frozen=True):
    """Whom a sandbox's processes run as: a number of a user, and of a group that has no other member."""

    number: int

    def own(self, made: folder.Folder) -> None:
        """Close a sandbox's folder to all but this user, to whom only ``tmp`` belongs."""
        os.chown(made.path, 0, self.number)
        made.path.chmod(0o710)
        os.chown(made.tmp, self.number, self.number)
        made.tmp.chmod(0o700)

    def kill_all(self) -> None:
        """Kill every process of the user, however fast they multiply. Blocks."""
        for _ in range(_ROUNDS):
            if not self._processes():
                return
            # In one step of the kernel, which spares nobody but the one who asks.
            command = [sys.executable, "-I", "-S", "-c", _KILL_ALL, str(self.number)]
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _processes(self) -> list[int]:
        found = []
        with os.scandir("/proc") as entries:
            for entry in entries:
                if entry.name.isdecimal():
                    with contextlib.suppress(OSError):
                        if entry.stat(follow_symlinks=False).st_uid == self.number and _lives(entry.path):
                            found.append(int(entry.name))
        return found


class Home:
    """The place of the sandboxes' folders of one data directory, held until `close` so that nobody cleans it up."""

    def __init__(self, sandboxes: Path) -> None:
        """Raises `base.EngineUnavailable` when it cannot be made, or another user has made it."""
        self.path = _ABOVE / f"faas-{folder.identity(sandboxes)}"
        try:
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o711)
            self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise base.EngineUnavailable(f"{self.path} cannot be made: {error.strerror}") from error
        # Of what is open, not of the path: others may write in the folder around it.
        found = os.fstat(self._held)
        if found.st_uid != 0 or stat.S_IMODE(found.st_mode) & 0o022:
            os.close(self._held)
            raise base.EngineUnavailable(f"{self.path} is not root's alone", hint="remove it; who has made it?")
        os.fchmod(self._held, 0o711)
        fcntl.flock(self._held, fcntl.LOCK_SH)  # what cleans up old files passes over a folder that is locked

    def close(self) -> None:
        """Let go of the folder, and remove it when nobody else holds it and no sandbox is left in it."""
        if self._held < 0:
            return
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Not while there is one of a runner that was killed: a sweep ends what still runs in it, and removes it.
            if not any(folder.is_id(path.name) for path in self.path.iterdir()):
                shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)
        self._held = -1


class Users:
    """Gives each sandbox its user, and takes it back when nothing of it is left."""

    def __init__(self, root: Path, sandboxes: groups.Sandboxes) -> None:
        wanted = uids.parse(sandboxes.sandbox_uids or _usual(Path("/proc/self/uid_map").read_text()))
        uids.check(wanted, uids.others())
        self._uids = uids.Uids(root / "uids", wanted)
        self.python = readable_python.find(wanted.first)

    def take(self, sandbox: str) -> User:
        """A user for a sandbox. Raises `base.EngineUnavailable`. Blocks."""
        return User(self._uids.take(sandbox))

    def kill(self, sandbox: str) -> None:
        """Kill all that still runs as a sandbox's user. Blocks."""
        for number in self._uids.of(sandbox):
            User(number).kill_all()

    def give_back(self, sandbox: str) -> None:
        """Take a user back of whose sandbox nothing is left. Blocks."""
        for number in self._uids.of(sandbox):
            self._uids.give_back(number, sandbox)

    def give_back_all(self, has_gone: Callable[[str], bool]) -> None:
        """Take the users of those back that never had a folder. Blocks."""
        self._uids.give_back_all(has_gone)


def _usual(uid_map: str) -> str:
    """The range where no setting names one: another in a user namespace that does not have those of the host."""
    first = uids.parse(uids.ON_THE_HOST).first
    lines = [[int(word) for word in line.split()] for line in uid_map.splitlines()]
    is_there = any(start <= first < start + count for start, _, count in lines)
    return uids.ON_THE_HOST if is_there else uids.REMAPPED


def _lives(process: str) -> bool:
    """Whether it is more than a dead one whose parent has not heard of it."""
    return b") Z " not in Path(process, "stat").read_bytes()
