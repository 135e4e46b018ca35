"""Whether a process of this machine lives, told from any later one that has its id (Linux: /proc)."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

import msgspec

_DEAD_STATES = ("Z", "X")


class ProcessIdentity(msgspec.Struct, frozen=True, array_like=True):
    """A process. ``space`` names the boot and the process ids' namespace: elsewhere the same id is another process."""

    space: str
    pid: int
    started: int


def own() -> ProcessIdentity | None:
    """The identity of this process; None where the system does not say."""
    return of(os.getpid())


def of(pid: int) -> ProcessIdentity | None:
    """A process that lives; None where the system does not say."""
    found = _stat(pid)
    return ProcessIdentity(_space(), pid, found[1]) if found and _space() else None


def is_dead(identity: ProcessIdentity) -> bool:
    """Whether a process is known to have ended. One of another machine or namespace never is."""
    # Nothing is known of it here, and to take it for dead would be to take what it holds.
    if not _space() or identity.space != _space():
        return False
    found = _stat(identity.pid)
    return found is None or found[0] in _DEAD_STATES or found[1] != identity.started


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is no such process."""
    found = _stat(pid)
    return found[1] if found else None


class ProcessUse(msgspec.Struct, frozen=True):
    """What a process has used: seconds of processors since it started, and bytes of memory now."""

    cpu_s: float
    memory_bytes: int


def use(pid: int) -> ProcessUse | None:
    """What a process of this machine uses; None when there is no such process."""
    try:
        fields = _fields(pid)
        # proc(5), fields 14, 15 and 24: ticks in the process and for it in the kernel, and pages of memory.
        ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
    except (OSError, ValueError, IndexError):
        return None
    return ProcessUse(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


@functools.cache
def _space() -> str:
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    return ""


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start (clock ticks since boot; proc(5), fields 3 and 22) of a process."""
    try:
        fields = _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])


def _fields(pid: int) -> list[str]:
    """The fields of proc(5) from the third, the state, on. Raises `OSError` when there is no such process."""
    # The name before them is in brackets and may hold blanks and brackets of its own.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
