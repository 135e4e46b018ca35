"""What a full disk is called: one translation for everything that writes into the data directory."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from faas.core import errors

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ROOM_BYTES = 64 * 1024


@contextlib.contextmanager
def out_of_space() -> Iterator[None]:
    """Turn "no space left", "quota exceeded" and "file too large" inside the block into `errors.Unavailable`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise full() from error


def full() -> errors.Unavailable:
    """The error that says that the data directory has no room."""
    return errors.Unavailable(
        "no space left on the platform's disk", hint="free some space under its data directory, then deploy again"
    )


def is_full(folder: Path) -> bool:
    """Whether there is hardly any room. It explains what a library calls by another name (SQLite: disk I/O error)."""
    try:
        free = os.statvfs(folder)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _ROOM_BYTES
