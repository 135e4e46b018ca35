"""Whether a file of a bucket is complete: one look at one file. Everything here blocks.

A file that somebody has open for writing is not complete. Linux answers that question for the file's owner: a read
lease is refused while there is a writer. It is held for microseconds, and its signal is one that is ignored by default.
Where the file system or the file's owner forbids leases, the sign under which the object was noticed and its age
decide. What the platform itself published is complete however it was noticed: by the move into place, or only listed
with a folder that is new, and then a mark on the file says so (`stamps.PUBLISHED_ATTRIBUTE`). The sandbox that wrote
it may hold its descriptor still.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time

from faas.buckets import port
from faas.buckets.folder import stamps

_SETTLED_S = 1.0


def look(fd: int, key: str, sign: port.Sign) -> port.Found:
    """The file of this descriptor as an object. Raises `OSError`."""
    status = os.fstat(fd)
    found = stamps.object_of(key, status)
    published = stamps.published_version(fd)
    by_platform = published == found.version
    is_complete = by_platform or sign is port.Sign.PUBLISHED or _is_complete(fd, sign, status.st_mtime_ns)
    # A mark of another version: somebody wrote to what the platform had published, and begins a chain of their own.
    is_rewritten = published is not None and not by_platform
    return port.Found(found, is_complete, None if is_rewritten else stamps.writer_of(fd))


def _is_complete(fd: int, sign: port.Sign, modified_ns: int) -> bool:
    being_written = _is_being_written(fd)
    if being_written is not None:
        return not being_written
    age_s = (time.time_ns() - modified_ns) / 1e9
    return sign is port.Sign.CLOSED or not 0 <= age_s < _SETTLED_S


def _is_being_written(fd: int) -> bool | None:
    """Whether anybody has the file open for writing; None when the system does not tell."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
