"""How much processor time a sandbox has used, as the kernel of this host counts it: nothing that runs in it is asked.

What is read is a sum since the sandbox began; an attempt's share is the difference of two readings. A reading costs
some 2 µs, so it is taken on the event loop. The kernel adds what a thread uses when it stops or at a tick, so the last
fraction of a millisecond of an attempt may be counted with the next one in its sandbox; sums of attempts are right.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from faas.core import clock

_NS_PER_US = 1_000
_CHILDREN_EVERY_NS = 10_000_000
_US_PER_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
# Fields 16 and 17 of /proc/PID/stat (man proc_pid_stat) come so many after the name, which may hold blanks.
_CHILDREN_USER, _CHILDREN_SYSTEM = 13, 14


class GroupAccount:
    """The account of one cgroup of either version, its file kept open. It never fails: what cannot be read is None."""

    def __init__(self, group: Path | None) -> None:
        self._file = -1
        self._is_version1 = group is not None and (group / "cpuacct.usage").exists()
        if group is not None:
            name = "cpuacct.usage" if self._is_version1 else "cpu.stat"
            with contextlib.suppress(OSError):
                self._file = os.open(group / name, os.O_RDONLY | os.O_CLOEXEC)

    def used_us(self) -> int | None:
        """What all processes of the group have used, also those that have ended; None where nobody tells."""
        if self._file < 0:
            return None
        try:
            text = os.pread(self._file, 64, 0)
            # Version 1 has one number of nanoseconds, version 2 begins with "usage_usec 123".
            return int(text) // _NS_PER_US if self._is_version1 else int(text.split(None, 2)[1])
        except (OSError, ValueError, IndexError):  # the container has gone
            return None

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class ProcessAccount:
    """The account of one process: all its threads, and the children that it has waited for.

    What children have used is known to 10 ms, and looked at no more often than that.
    """

    def __init__(self, pid: int) -> None:
        # The number of a process's own clock, as `clock_getcpuclockid` makes it: bits 0-1 name the scheduler's count.
        self._clock = (~pid << 3) | 2
        self._stat = Path(f"/proc/{pid}/stat")
        self._children_us = 0
        self._looked_ns = 0

    def used_us(self) -> int | None:
        """What it has used; None when it has gone."""
        try:
            own_us = time.clock_gettime_ns(self._clock) // _NS_PER_US
        except OSError:
            return None
        now_ns = clock.steady_ns()
        if now_ns - self._looked_ns >= _CHILDREN_EVERY_NS:
            self._looked_ns = now_ns
            self._children_us = max(self._children_us, children_us(self._stat))
        return own_us + self._children_us


def children_us(stat: Path) -> int:
    """What the children that a process has waited for have used; 0 when it has gone. ``stat`` is its stat file."""
    try:
        fields = stat.read_bytes().rpartition(b")")[2].split()
        return (int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])) * _US_PER_TICK
    except (OSError, ValueError, IndexError):
        return 0
