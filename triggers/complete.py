"""Whether an object is complete: one look at one file. Everything here blocks.

A file that somebody has open for writing is not complete. Linux answers that question for the file's owner: a read
lease is refused while there is a writer. It is held for microseconds, and its signal is one that is ignored by default.
Where the file system or the file's owner forbids leases, the sign under which the object was noticed and its age
decide. What the platform itself published is complete however it was noticed: by the move into place, or only listed
with a folder that is new, and then a mark on the file says so (`buckets.PUBLISHED_ATTRIBUTE`). The sandbox that wrote
it may hold its descriptor still.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import logging
import os
import re
import signal
import time
from collections.abc import Iterable

import msgspec

from faas import buckets
from faas.core import errors
from triggers import backlog

_log = logging.getLogger(__name__)

SETTLED_S = 1.0


class State(enum.Enum):
    """What one look says of an object."""

    GONE = "gone"
    GROWING = "growing"
    UNREADABLE = "unreadable"
    COMPLETE = "complete"


class Origin(enum.Enum):
    """What a file's mark says of where its content came from."""

    UNKNOWN = "unknown"
    PLATFORM = "platform"
    REWRITTEN = "rewritten"
    """Somebody else wrote to what the platform had published."""


class Seen(msgspec.Struct, frozen=True):
    """An object as one look found it.

    ``depth`` is that of an invocation which it triggers: one more than its writer's, 0 for what came from outside.
    ``parent_id`` is the invocation that wrote it, and ``root_id`` the first of that one's chain.
    """

    look: backlog.Look
    state: State
    object: buckets.Object | None = None
    modified_ns: int = 0
    depth: int = 0
    parent_id: str | None = None
    root_id: str | None = None


def see_all(folder: buckets.BucketFolder, looks: Iterable[backlog.Look]) -> list[Seen]:
    """Look at several objects."""
    return [see(folder, look) for look in looks]


def see(folder: buckets.BucketFolder, look: backlog.Look) -> Seen:
    """Look at one object."""
    try:
        fd = folder.open_read(look.key)
    except (errors.NotFound, errors.BadRequest, errors.Conflict):
        return Seen(look, State.GONE)
    except errors.FaasError as error:
        if look.tries == 0:
            _log.warning("object_unreadable", extra={"bucket": folder.name, "key": look.key, "reason": error.message})
        return Seen(look, State.UNREADABLE)
    try:
        status = os.fstat(fd)
        found = buckets.object_of(look.key, status)
        origin = _origin(fd, status)
        published = look.sign is backlog.Sign.PUBLISHED or origin is Origin.PLATFORM
        if not published and not _is_complete(fd, look.sign, status.st_mtime_ns):
            return Seen(look, State.GROWING)
        if origin is Origin.REWRITTEN:
            return Seen(look, State.COMPLETE, found, status.st_mtime_ns)
        return Seen(look, State.COMPLETE, found, status.st_mtime_ns, _depth(fd), *_lineage(fd))
    finally:
        os.close(fd)


def _origin(fd: int, status: os.stat_result) -> Origin:
    try:
        published = os.getxattr(fd, buckets.PUBLISHED_ATTRIBUTE)
    except OSError:
        return Origin.UNKNOWN
    return Origin.PLATFORM if published == buckets.version_of(status).encode() else Origin.REWRITTEN


def _is_complete(fd: int, sign: backlog.Sign, modified_ns: int) -> bool:
    being_written = _is_being_written(fd)
    if being_written is not None:
        return not being_written
    age_s = (time.time_ns() - modified_ns) / 1e9
    return sign is backlog.Sign.CLOSED or not 0 <= age_s < SETTLED_S


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


def _lineage(fd: int) -> tuple[str | None, str | None]:
    """The invocation that wrote it and the first of its chain; anybody may have put anything there."""
    try:
        found = re.fullmatch(rb"([0-9a-f-]{36}) ([0-9a-f-]{36})", os.getxattr(fd, buckets.LINEAGE_ATTRIBUTE))
    except OSError:
        return None, None
    return (found[1].decode(), found[2].decode()) if found else (None, None)


def _depth(fd: int) -> int:
    try:
        return int(os.getxattr(fd, buckets.DEPTH_ATTRIBUTE)) + 1
    except (OSError, ValueError):
        return 0
