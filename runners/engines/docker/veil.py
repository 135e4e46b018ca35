"""The code of a function as its sandbox alone sees it, though its files lie on the disk once for all sandboxes.

Two containers that see one file can talk by locks on it and by watching what the other reads. So the folder that a
container has its code in is covered, inside the container, with an overlay of the same folder: the overlay has files of
its own, and the bytes behind them are shared as ever. It lives in the container's namespace of mounts and ends with it;
nothing is left on the host, whoever is killed.

A process enters another namespace of mounts by one thread of its own, whose view of the file system is apart.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CLONE_FS, _CLONE_NEWNS = 0x0200, 0x20000
# The numbers of these calls are the same on every processor.
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _FSPICK = 429, 430, 431, 432, 433
_FROM_THE_DESCRIPTOR = 4
_TEXT, _CREATE, _RECONFIGURE = 1, 6, 7
_CLOSED_ON_EXEC = 1
_READ_ONLY, _NO_SETUID, _NO_DEVICES = 1, 2, 4
_HERE = -100

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)


class Veils:
    """Covers folders of containers, where this host lets us: root, with a kernel that has these calls (5.2)."""

    def __init__(self) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "veils")
        self._home = -1
        self._works = os.geteuid() == 0

    def draw(self, pid: int, folder: Path, task: str, empty: str, target: str) -> concurrent.futures.Future[bool]:
        """Cover ``target`` in the container of a process with what lies in ``folder / task``; whether it is covered.

        ``empty`` is another folder in ``folder``: an overlay is one of two at least.
        """
        return self._thread.submit(self._drawn, pid, folder, f"{task}:{empty}", target)

    def resize(self, pid: int, sizes: Mapping[str, int]) -> concurrent.futures.Future[bool]:
        """Give folders in memory of the container of a process these sizes, in MB; whether they have them."""
        return self._thread.submit(self._resized, pid, sizes)

    def close(self) -> None:
        """End the thread."""
        self._thread.submit(self._leave)
        self._thread.shutdown(wait=False)

    def _leave(self) -> None:
        if self._home >= 0:
            os.close(self._home)

    def _drawn(self, pid: int, folder: Path, layers: str, target: str) -> bool:
        if not self._works:
            return False
        try:
            there = self._namespace(pid)
        except OSError as error:
            return self._given_up(error)
        try:
            self._cover(there, folder, layers, target.encode())
        except OSError as error:
            return self._given_up(error)
        finally:
            os.close(there)
        return True

    def _namespace(self, pid: int) -> int:
        if self._home < 0:
            # A thread that shares its view of the file system with others may not enter a namespace of mounts.
            _checked(_libc.unshare(_CLONE_FS))
            self._home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def _resized(self, pid: int, sizes: Mapping[str, int]) -> bool:
        if not self._works:
            return False
        try:
            there = self._namespace(pid)
            try:
                _checked(_libc.setns(there, _CLONE_NEWNS))
                try:
                    for folder, size_mb in sizes.items():
                        _resize(folder.encode(), f"{size_mb}m".encode())
                finally:
                    _checked(_libc.setns(self._home, _CLONE_NEWNS))
            finally:
                os.close(there)
        except OSError as error:  # they stay as large as the engine has made them
            _log.debug("folders_not_resized", extra={"reason": error.strerror})
            return False
        return True

    def _cover(self, there: int, folder: Path, layers: str, target: bytes) -> None:
        os.chdir(folder)  # this thread alone: so that no character of the path means anything
        # Made here, where the folder's path is known, and moved there, where the target's is.
        mount = _overlay(layers.encode())
        try:
            _checked(_libc.setns(there, _CLONE_NEWNS))
            try:
                _call(_MOVE_MOUNT, mount, b"", _HERE, target, _FROM_THE_DESCRIPTOR)
            finally:
                _checked(_libc.setns(self._home, _CLONE_NEWNS))
        finally:
            os.close(mount)

    def _given_up(self, error: OSError) -> bool:
        """Once is enough to know that this host does not let us, or that the thread is not where it should be."""
        if error.errno != 2:  # the container has gone
            self._works = False
            _log.warning("code_is_shared_by_sandboxes", extra={"reason": error.strerror})
        return False


def _overlay(layers: bytes) -> int:
    """A descriptor of a read-only overlay that is mounted nowhere yet."""
    made = _call(_FSOPEN, b"overlay", _CLOSED_ON_EXEC)
    try:
        _call(_FSCONFIG, made, _TEXT, b"lowerdir", layers, 0)
        _call(_FSCONFIG, made, _CREATE, None, None, 0)
        return _call(_FSMOUNT, made, _CLOSED_ON_EXEC, _READ_ONLY | _NO_SETUID | _NO_DEVICES)
    finally:
        os.close(made)


def _resize(folder: bytes, size: bytes) -> None:
    picked = _call(_FSPICK, _HERE, folder, _CLOSED_ON_EXEC)
    try:
        _call(_FSCONFIG, picked, _TEXT, b"size", size, 0)
        _call(_FSCONFIG, picked, _RECONFIGURE, None, None, 0)
    finally:
        os.close(picked)


def _call(number: int, *arguments: Any) -> int:
    return _checked(_libc.syscall(ctypes.c_long(number), *map(_argument, arguments)))


def _argument(value: Any) -> Any:
    # A number is to have all of its register, or what is left there from before would be a part of it.
    return ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value)


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
