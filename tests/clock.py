"""A wall clock that jumps: for all processes of one platform, and for nothing else on this machine.

::

    clock = clocks.Clock(tmp_path / "clock")
    with platforms.running(tmp_path / "data", clock=clock) as platform:
        clock.jump(3600)      # one hour forward, at once, in every process of the platform
        clock.jump(-3600)     # and back again
        clock.time()          # the platform's time, in seconds since the epoch

Every process that starts with ``clock.environment()`` (and so each of its children: Redis, nodes, scheduler, ...)
loads a few lines of C that add a number to what the wall clock tells; `jump` changes that number, which all of them
have mapped. Monotonic clocks go on as they are, as they do when a system's time is set. What the kernel tells (the
times of files), what Docker tells, and what runs inside a container, is of the real clock. (Debian's libfaketime will
not do: the `time.sleep` of Python 3.11 fails under it when monotonic clocks are left alone.)
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

from tests import preload

_NUMBER = struct.Struct("q")


class Clock:
    """A wall clock of the test's own, at this machine's time until it jumps; ``folder`` is made for what it needs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._file = folder / "added_s"
        self._file.write_bytes(_NUMBER.pack(0))
        with self._file.open("r+b") as file:
            self._added = memoryview(mmap.mmap(file.fileno(), _NUMBER.size)).cast("q")
        self._library = preload.compiled("wall_clock.c", folder)

    def environment(self) -> dict[str, str]:
        """What makes a process, and its children, live by this clock."""
        return {"LD_PRELOAD": str(self._library), "TEST_WALL_CLOCK": str(self._file)}

    def jump(self, seconds: int) -> None:
        """Move it, forward or (negative) back, for every process that lives by it."""
        self._added[0] += seconds  # one store of 8 bytes: a reader sees the old number or the new one

    def time(self) -> float:
        """What it shows now, in seconds since the epoch."""
        return time.time() + self._added[0]
