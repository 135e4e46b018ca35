"""Peak memory of this process and of the largest of its ended children."""

from __future__ import annotations

import resource


class PeakMemory:
    """Reads the peak in KiB.

    A process that was started by ``vfork`` and ``exec`` begins with its *parent's* peak in `getrusage`. Where that is
    so, and until this process has grown beyond it, the kernel's own figure for this address space is read instead.
    """

    def __init__(self) -> None:
        started_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._inherited = started_with if started_with > _high_water_mark() else 0

    def kib(self) -> int:
        """The peak so far."""
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if own <= self._inherited:
            own = _high_water_mark()
        return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _high_water_mark() -> int:
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1])
    return 0
