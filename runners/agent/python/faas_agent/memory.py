"""Peak memory of this process and of the largest of its ended children."""

from __future__ import annotations

import resource

_OFTEN_NS = 1_000_000
"""A process does not grow by more than a few MB in this time."""


class PeakMemory:
    """Reads the peak in KiB.

    A process that was started by ``vfork`` and ``exec`` begins with its *parent's* peak in `getrusage`. Where that is
    so, and until this process has grown beyond it, the kernel's own figure for this address space is read instead, when
    it can have risen: no memory comes to a process without a page fault.
    """

    def __init__(self) -> None:
        started_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._inherited = started_with if started_with > _high_water_mark() else 0
        self._faults = self._own = self._peak = self._read_at_ns = 0

    def kib(self, now_ns: int) -> int:
        """The peak so far, as it was not more than a millisecond ago."""
        if now_ns - self._read_at_ns >= _OFTEN_NS:
            self._read_at_ns = now_ns
            self._peak = max(self._read(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        return self._peak

    def _read(self) -> int:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        if usage.ru_maxrss > self._inherited:
            return usage.ru_maxrss
        faults = usage.ru_minflt + usage.ru_majflt
        if faults != self._faults:
            self._faults = faults
            self._own = _high_water_mark()
        return self._own


def _high_water_mark() -> int:
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1])
    return 0
