"""What is read off a file of a bucket, and written on it: its version, and the marks of the platform."""

from __future__ import annotations

import os
import re

from faas.buckets import objects, port
from faas.core import ids, model
from faas.core.calls import lineage, tracing

DEPTH_ATTRIBUTE = "user.faas.depth"
"""Extended attribute of an object: the depth of the invocation that wrote it, in decimal."""

LINEAGE_ATTRIBUTE = "user.faas.lineage"
"""Extended attribute of an object: the ids of the invocation that wrote it and of the first of its chain."""

PUBLISHED_ATTRIBUTE = "user.faas.published"
"""Extended attribute of an object: the version in which the platform published it, whole. A later writer changes the
version and leaves this, so the two are equal only while nobody has written since."""

TRACE_ATTRIBUTE = "user.faas.trace"
"""Extended attribute of an object: the traceparent, and after a space the tracestate, of what follows from it."""

_LINEAGE = re.compile(rb"([0-9a-f-]{36}) ([0-9a-f-]{36})")


def object_of(key: str, found: os.stat_result) -> objects.Object:
    """The object whose file was found so."""
    return objects.Object(key, found.st_size, found.st_mtime_ns, version_of(found), found.st_ctime_ns)


def version_of(found: os.stat_result) -> str:
    """The version of the file that was found so: another one whenever it is written to or replaced."""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def put_marks(fd: int, writer: port.Writer | None) -> None:
    """Say on the file itself that the platform publishes it as it is now, and which invocation wrote it."""
    os.setxattr(fd, PUBLISHED_ATTRIBUTE, version_of(os.fstat(fd)).encode())
    if writer is not None:
        os.setxattr(fd, DEPTH_ATTRIBUTE, str(writer.depth).encode())
        os.setxattr(fd, LINEAGE_ATTRIBUTE, f"{writer.invocation_id} {writer.root_id}".encode())
        if writer.trace is not None:
            os.setxattr(fd, TRACE_ATTRIBUTE, f"{writer.trace.parent} {writer.trace.state}".encode())


def published_version(fd: int) -> str | None:
    """The version in which the platform published the file, if it did."""
    try:
        return os.getxattr(fd, PUBLISHED_ATTRIBUTE).decode(errors="replace")
    except OSError:
        return None


def writer_of(fd: int) -> port.Writer | None:
    """The invocation that wrote the file. Anybody may have put anything there."""
    try:
        depth = lineage.depth_of(os.getxattr(fd, DEPTH_ATTRIBUTE))
    except OSError:
        return None
    return None if depth is None else port.Writer(depth, *_lineage(fd), _trace(fd))


def _trace(fd: int) -> model.TraceContext | None:
    try:
        parent, _, state = os.getxattr(fd, TRACE_ATTRIBUTE).decode().partition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    return tracing.read([(tracing.PARENT, parent), (tracing.STATE, state)])


def _lineage(fd: int) -> tuple[str, str]:
    try:
        found = _LINEAGE.fullmatch(os.getxattr(fd, LINEAGE_ATTRIBUTE))
    except OSError:
        return "", ""
    written = (found[1].decode(), found[2].decode()) if found else ("", "")
    return written if all(map(ids.is_id, written)) else ("", "")
