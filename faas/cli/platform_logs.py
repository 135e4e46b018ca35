"""The logs of the platform's own processes, kept small while the processes write to them.

Whoever writes has the file open for appending, and goes on with the same file. So it is copied to ``.1`` and emptied in
place. What is written in the microseconds between the last look at its length and its emptying is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_EVERY_S = 5.0
_MB = 1024 * 1024
_log = logging.getLogger(__name__)


async def keep_small(folders: Iterable[Path], most_mb: int) -> None:
    """Set aside every log in the folders that has more than ``most_mb`` MiB, until cancelled; 0 sets none aside."""
    watched = tuple(folders)
    while most_mb:
        await asyncio.to_thread(look, watched, most_mb * _MB)
        await asyncio.sleep(_EVERY_S)


def look(folders: Iterable[Path], most_bytes: int) -> None:
    """Set aside every log in the folders that has more than ``most_bytes`` now."""
    for folder in folders:
        for log in sorted(folder.glob("*.log")):
            try:
                if log.stat().st_size > most_bytes:
                    set_aside(log)
            except OSError as error:
                _log.warning("log_not_set_aside", extra={"path": str(log), "reason": str(error)})


def set_aside(log: Path) -> None:
    """Move what a log holds to ``.1``, in place of what was there; on a full disk nothing of it is kept."""
    aside = log.with_name(f"{log.name}.1")
    with log.open("r+b") as held:
        try:
            with aside.open("wb") as copy:
                shutil.copyfileobj(held, copy)
                while rest := held.read():  # what came while it was copied
                    copy.write(rest)
        except OSError as error:
            # A full disk is what a log without a bound leads to: then room is worth more than old lines.
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            _log.warning("log_dropped", extra={"path": str(log), "reason": str(error)})
        os.ftruncate(held.fileno(), 0)
