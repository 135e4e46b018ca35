"""Bringing the journals of a machine to its disk once a second, so that a loss of power costs no more than that.

What a node writes outlives the node. Who syncs is another process, `faas up`, since a sync may take long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

from runners.journal import format as form

_EVERY_S = 1.0
_LAST = 2
"""The segment that is written, and the one before it, which may have been written a moment ago."""

_log = logging.getLogger(__name__)


async def keep_synced(root: Path) -> None:
    """Sync the journals in a folder every second, until cancelled. What fails is said once."""
    failed = False
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            await asyncio.to_thread(sync, root)
        except OSError as error:
            if not failed:
                _log.error("journals_not_synced", extra={"folder": str(root), "reason": str(error)})
            failed = True
        else:
            failed = False


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
