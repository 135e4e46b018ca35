"""What a control group holds and has used, whichever version of cgroups the host runs."""

from __future__ import annotations

from pathlib import Path


def held_bytes(group: Path) -> int:
    """The memory that is in use."""
    version2 = group / "memory.current"
    return int((version2 if version2.exists() else group / "memory.usage_in_bytes").read_text())


def spent_us(group: Path) -> int:
    """The processor time that was used; for version 1 the group is the one of ``cpuacct``."""
    version2 = group / "cpu.stat"
    if not (group / "cpuacct.usage").exists() and version2.exists():
        return int(dict(line.split() for line in version2.read_text().splitlines())["usage_usec"])
    return int((group / "cpuacct.usage").read_text()) // 1000


def quota(group: Path) -> float:
    """How many processors it may use at once; for version 1 the group is the one of ``cpu``."""
    if (group / "cpu.max").exists():
        most, period = (group / "cpu.max").read_text().split()
        return int(most) / int(period)
    return int((group / "cpu.cfs_quota_us").read_text()) / int((group / "cpu.cfs_period_us").read_text())


def limits(group: Path) -> dict[str, str]:
    """Every limit of memory, processors and processes that a group of version 2 has, by the name of its file."""
    names = ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
    return {name: (group / name).read_text().strip() for name in names}
