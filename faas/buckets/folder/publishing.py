"""From an unnamed file to an object, in one move. Everything here blocks and raises `OSError`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal

from faas.buckets import port
from faas.buckets.folder import passing, stamps, tree

_POUR_BYTES = 1 << 24
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_NO_ATTRIBUTES = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES})


def unnamed_file(folder: int) -> int:
    """A descriptor of a file of this folder's file system that has no name, or none any more.

    Others may read it when they may read the folder, whatever the umask of this process is.
    """
    fd = _unnamed(folder)
    os.fchmod(fd, tree.file_mode(folder))
    return fd


def _unnamed(folder: int) -> int:
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
    # Where the file system has no unnamed files: one whose name is taken away again at once.
    name = passing.name()
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    os.unlink(name, dir_fd=folder)
    return fd


def sealed(fd: int, folder: int) -> int:
    """A descriptor, for reading, of what was written to ``fd``, in a file that nobody can write any more.

    Closes ``fd``. It is the same file when ``fd`` was the last way to write to it, and a copy on this folder's file
    system when another process kept one (a descriptor, a mapping) or when the file system cannot tell.
    """
    try:
        reading = _for_reading(fd)
    finally:
        os.close(fd)
    if _nobody_writes(reading):
        return reading
    try:
        return _copied(reading, folder)
    finally:
        os.close(reading)


def _nobody_writes(fd: int) -> bool:
    """Whether no descriptor and no mapping can write to the file of this descriptor for reading.

    The kernel grants a read lease only then. Whoever opens it for writing while the lease is held would have it break
    with a signal, which by default ends the process: so it is one that is ignored by default.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def _copied(fd: int, folder: int) -> int:
    target = unnamed_file(folder)
    try:
        _pour(fd, target)
        return _for_reading(target)
    finally:
        os.close(target)


def _for_reading(fd: int) -> int:
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)


def _pour(source: int, target: int) -> None:
    """Copy what the source holds now; who still writes to it must not keep us copying."""
    offset, end = 0, os.fstat(source).st_size
    while offset < end and (sent := os.sendfile(target, source, offset, min(end - offset, _POUR_BYTES))):
        offset += sent


def mark(fd: int, writer: port.Writer | None) -> None:
    """Say on the file itself that the platform publishes it as it is now, and which invocation wrote it."""
    try:
        stamps.put_marks(fd, writer)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise


def publish(fd: int, folder: int, name: str, writer: port.Writer | None) -> os.stat_result:
    """Give the file a name in an open folder, in place of whatever had it; what was published.

    Another may replace it the moment after, so it is looked at before it has its name. What is copied is marked anew.
    """
    passing.hold(fd)
    source, copy = passing.name(), None
    try:
        # Under a name in passing at first: a link cannot take the place of what is there, a rename can.
        os.link(f"/proc/self/fd/{fd}", source, dst_dir_fd=folder, follow_symlinks=True)
    except FileNotFoundError:  # this file system has no unnamed files: fd is of a file whose name was removed
        copy = _copy(fd, folder, source, writer)
    try:
        found = os.stat(source, dir_fd=folder, follow_symlinks=False)
        _move(folder, source, name)
    except OSError:
        _remove(folder, source)
        raise
    finally:
        if copy is not None:
            os.close(copy)
    return found


def _move(folder: int, source: str, name: str) -> None:
    try:
        os.rename(source, name, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:  # an empty folder, left when its last object went, gives way
        # One that is not empty stays, and the error says so: a key cannot be object and folder.
        os.rmdir(name, dir_fd=folder)
        os.rename(source, name, src_dir_fd=folder, dst_dir_fd=folder)


def _remove(folder: int, source: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # swept, when its lock could not be held
        os.unlink(source, dir_fd=folder)


def _copy(fd: int, folder: int, name: str, writer: port.Writer | None) -> int:
    """A descriptor for reading the copy, which holds its lock until it is closed."""
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        os.fchmod(target, tree.file_mode(folder))
        reading = _for_reading(target)
        try:
            passing.hold(reading)
            _pour(fd, target)
            os.fdatasync(target)
            mark(target, writer)
        except OSError:
            os.close(reading)
            raise
    except OSError:
        _remove(folder, name)
        raise
    finally:
        os.close(target)
    return reading
