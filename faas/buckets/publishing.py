"""From an unnamed file to an object, in one move. Everything here blocks and raises `OSError`."""

from __future__ import annotations

import errno
import os
import secrets

from faas.buckets import objects

DEPTH_ATTRIBUTE = "user.faas.depth"
"""Extended attribute of an object: the depth of the invocation that wrote it, in decimal."""

PUBLISHED_ATTRIBUTE = "user.faas.published"
"""Extended attribute of an object: the version in which the platform published it, whole. A later writer changes the
version and leaves this, so the two are equal only while nobody has written since."""

_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_NO_ATTRIBUTES = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES})


def unnamed_file(folder: int) -> int:
    """A descriptor of a file of this folder's file system that has no name, or none any more."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
    name = _passing_name()
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
    os.unlink(name, dir_fd=folder)
    return fd


def mark(fd: int, depth: int | None) -> None:
    """Say on the file itself that the platform publishes it as it is now, and how deep in a chain it was written."""
    try:
        os.setxattr(fd, PUBLISHED_ATTRIBUTE, objects.version_of(os.fstat(fd)).encode())
        if depth is not None:
            os.setxattr(fd, DEPTH_ATTRIBUTE, str(depth).encode())
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise


def publish(fd: int, folder: int, name: str, depth: int | None) -> os.stat_result:
    """Give the file a name in an open folder, in place of whatever had it; what was published.

    Another may replace it the moment after, so it is looked at before it has its name. What is copied is marked anew.
    """
    passing = _passing_name()
    try:
        os.link(f"/proc/self/fd/{fd}", passing, dst_dir_fd=folder, follow_symlinks=True)
    except FileNotFoundError:  # this file system has no unnamed files: fd is of a file whose name was removed
        _copy(fd, folder, passing, depth)
    try:
        found = os.stat(passing, dir_fd=folder, follow_symlinks=False)
        _move(folder, passing, name)
    except OSError:
        os.unlink(passing, dir_fd=folder)
        raise
    return found


def _move(folder: int, passing: str, name: str) -> None:
    try:
        os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:  # an empty folder, left when its last object went, gives way
        os.rmdir(name, dir_fd=folder)
        os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)


def _copy(fd: int, folder: int, name: str, depth: int | None) -> None:
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
    try:
        offset = 0
        while sent := os.sendfile(target, fd, offset, 1 << 24):
            offset += sent
        os.fdatasync(target)
        mark(target, depth)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(target)


def _passing_name() -> str:
    return f".faas-{secrets.token_hex(8)}"
