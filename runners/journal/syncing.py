"""Bring the journals of a machine to its disk.

What a node writes outlives the node. `faas up` syncs once a second (`faas.valkey.syncing`), so that a loss of power
costs no more than that; it is another process than the node, since a sync may take long.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runners.journal import format as form

_LAST = 2
"""The segment that is written, and the one before it, which may have been written a moment ago."""


def sync(root: Path) -> None:
    """Bring what was written to the disk. Blocks. Raises `OSError`."""
    for folder in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # its node has ended meanwhile
            for _, path in form.segments(folder)[-_LAST:]:
                _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
