"""A folder beside a place, in which what shall appear there is made: whole and at once, or not at all.

::

    .NAME.faas-partial/lock     held by who makes it: free when that one has died
    .NAME.faas-partial/…        what is made
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from faas.core import errors

_SUFFIX = ".faas-partial"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def beside(place: Path) -> Iterator[Path]:
    """The folder, which is removed at the end; those that killed ones left beside it are removed first.

    Raises `errors.Conflict` while another makes the same, and `errors.Unavailable` when the disk is full or refuses.
    """
    with _translated(place):
        _sweep(place.parent)
        folder = place.parent / f".{place.name}{_SUFFIX}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(folder):
            raise errors.Conflict(
                f"{folder} is not this user's alone", hint="remove it, or write into a folder where nobody else may"
            )
        lock = _locked(folder)
        if lock is None:
            raise errors.Conflict(f"another process is making {place} just now", hint="wait for it to end")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def publish(made: Path, place: Path) -> None:
    """Let what was made appear at its place, on the disk. Raises `OSError`."""
    sync(made.parent)
    made.rename(place)
    sync(place.parent)


def sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(file: IO[bytes]) -> None:
    """Bring a file to the disk."""
    os.fsync(file.fileno())


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f".*{_SUFFIX}"):
        lock = _locked(folder) if _is_ours(folder) else None
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can write into it: somebody may have made it where everybody may make folders."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _locked(folder: Path) -> int | None:
    """The descriptor of its lock; None when somebody else holds it."""
    try:
        descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):  # somebody swept it meanwhile
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise errors.Unavailable(
                f"no space left for {place}", hint="free some space, or write to another disk; nothing was left behind"
            ) from error
        raise errors.Unavailable(f"{error.filename or place}: {error.strerror or error}") from error
