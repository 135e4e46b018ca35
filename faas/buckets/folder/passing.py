"""The name that a file has for a moment before it is an object, and what becomes of it when its process is killed then.

Whoever publishes holds a lock on the file meanwhile, which ends with its process: a file of such a name that nobody
holds is nobody's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets

from faas.buckets.folder import tree
from faas.core.processes import locks

_NAME = re.compile(r"\.faas-[0-9a-f]{16}")


def name() -> str:
    """A name that no other file has, and no object can have."""
    return f".faas-{secrets.token_hex(8)}"


def hold(fd: int) -> None:
    """Say that this file is being published, until ``fd`` is closed. Where files cannot be locked, nothing is swept."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def sweep(root: int) -> int:
    """Remove what killed processes left under an open folder; how many files. Blocks; raises `OSError`.

    The way down is a list and no recursion: a key may lead through five hundred folders.
    """
    swept = 0
    levels = [_Level(os.open(".", tree.FOLDER, dir_fd=root))]
    try:
        while levels:
            level = levels[-1]
            if level.below is None:
                swept += level.look()
            elif level.below:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                    levels.append(_Level(os.open(level.below.pop(), tree.FOLDER, dir_fd=level.fd)))
            else:
                os.close(levels.pop().fd)
    finally:
        for level in levels:
            os.close(level.fd)
    return swept


class _Level:
    """A folder on the way down: its descriptor, and the folders in it that are left, None before it was looked at."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.below: list[str] | None = None

    def look(self) -> int:
        """Sweep this folder; how many files went."""
        passing, self.below = [], []
        with os.scandir(self.fd) as scan:
            for entry in scan:
                if entry.is_dir(follow_symlinks=False):
                    self.below.append(entry.name)
                elif _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    passing.append(entry.name)
        return sum(_remove_if_free(self.fd, each) for each in passing)


def _remove_if_free(folder: int, passing: str) -> bool:
    try:
        fd = os.open(passing, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:  # it has become an object meanwhile, or is not ours
        return False
    try:
        # Whoever publishes it holds it shared, so this succeeds only when nobody does.
        is_free = locks.taken(fd)
        if is_free:
            os.unlink(passing, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(fd)
    return is_free
