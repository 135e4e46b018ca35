"""The cgroups of a process, whichever version the host runs: where they are, their limits, and whom they have killed.

Reading and writing may fail for who is not root, in a rootless engine, or when the container has gone: then the answer
is None or False, and the caller turns to the engine.
"""

from __future__ import annotations

import enum
import errno
from pathlib import Path

import msgspec

ROOT = Path("/sys/fs/cgroup")

_MOST_BYTES = 1 << 62

LEAST_SWAP_BYTES = 4096
"""Swap in version 2: with none at all, engines leave the limit out for systemd, which lifts it when it is reloaded."""


class Limited(enum.Enum):
    """What became of new limits. ``IN_USE``: the kernel cannot take back as much memory as is over them."""

    YES = enum.auto()
    IN_USE = enum.auto()
    UNKNOWN = enum.auto()


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """Memory without swap, in bytes; a quota of processor time in each period, in microseconds; and shares of 1024."""

    memory_bytes: int
    quota_us: int
    period_us: int
    shares: int


def group(pid: int, controller: str, proc: Path = Path("/proc"), root: Path = ROOT) -> Path | None:
    """The folder of the cgroup by which a controller (``memory``, ``cpu``) limits a process."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for folder in _candidates(lines, controller, root):
        if folder.is_dir():
            return folder
    return None


def limit(memory: Path | None, cpu: Path | None, wanted: Allowance) -> Limited:
    """Set new limits on the groups of a process. ``UNKNOWN``: nothing is certain, the engine has to do it.

    Version 1 refuses a limit below what is in use (EBUSY); version 2 takes it and kills, which `oom_kills` counts.
    """
    if memory is None or cpu is None:
        return Limited.UNKNOWN
    try:
        _write(_memory_files(memory, wanted))
    except OSError as error:
        return Limited.IN_USE if error.errno == errno.EBUSY else Limited.UNKNOWN
    try:
        _write(_cpu_files(cpu, wanted))
    except OSError:
        return Limited.UNKNOWN
    return Limited.YES


def _write(values: list[tuple[Path, str]]) -> None:
    for file, value in values:
        file.write_text(value)


def _memory_files(folder: Path, wanted: Allowance) -> list[tuple[Path, str]]:
    """Version 1 counts memory and swap together, and that limit is never below the one of memory alone."""
    if (folder / "memory.max").exists():
        return [(folder / "memory.max", str(wanted.memory_bytes)), (folder / "memory.swap.max", str(LEAST_SWAP_BYTES))]
    alone, both = folder / "memory.limit_in_bytes", folder / "memory.memsw.limit_in_bytes"
    # So the inner limit goes first on the way down, and the outer one on the way up.
    files = [alone, both] if int(alone.read_text()) > wanted.memory_bytes else [both, alone]
    return [(file, str(wanted.memory_bytes)) for file in files if file.exists()]


def _cpu_files(folder: Path, wanted: Allowance) -> list[tuple[Path, str]]:
    if (folder / "cpu.max").exists():
        # How shares become a weight differs among engines: each does it itself, when it is told.
        return [(folder / "cpu.max", f"{wanted.quota_us} {wanted.period_us}")]
    return [
        (folder / "cpu.cfs_period_us", str(wanted.period_us)),
        (folder / "cpu.cfs_quota_us", str(wanted.quota_us)),
        (folder / "cpu.shares", str(wanted.shares)),
    ]


def memory_limit_bytes(memory: Path) -> int | None:
    """The limit of memory that holds; None where none is set, or none can be read."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            text = (memory / name).read_text().strip()
        except OSError:
            continue
        # Version 2 says "max" for none, version 1 the most that it can count.
        return int(text) if text.isdecimal() and int(text) < _MOST_BYTES else None
    return None


def oom_kills(group: Path) -> int | None:
    """How many processes of the group the kernel has killed for want of memory."""
    for name in ("memory.events", "memory.oom_control"):
        try:
            text = (group / name).read_text()
        except OSError:
            continue
        return _figure(text, "oom_kill")
    return None


def _candidates(lines: list[str], wanted: str, root: Path) -> list[Path]:
    """Lines read ``number:controllers:path``; version 2 has number 0 and no controllers. Version 1 goes first."""
    found: list[Path] = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if ".." in path.split("/"):  # of a group outside of our namespace, which nothing here leads to
            continue
        if wanted in controllers.split(","):
            found.insert(0, root / wanted / path.lstrip("/"))
        elif number == "0" and not controllers:
            found.append(root / path.lstrip("/"))
    return found


def _figure(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None
