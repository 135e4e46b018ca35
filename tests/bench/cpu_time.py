"""Processor time (user and system) of processes and containers, in microseconds, as the kernel counts it. Linux only.

What ended is counted too: a process's time goes to its parent's when that has waited for it, a container's last reading
is kept.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import docker

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
_CGROUPS = Path("/sys/fs/cgroup")
AGENTS = "agents"
"""The name of all that runs in the containers of a platform."""


class Meter(Protocol):
    """Something whose processor time is told by name; only differences of two readings mean anything."""

    def us(self) -> dict[str, float]:
        """All that was used up to now, by name."""


class Process(NamedTuple):
    """One process: who started it, what it used, and what those of its children used for which it has waited."""

    parent: int
    us: float
    ended_children_us: float


class Usage(NamedTuple):
    """The file that holds the time of a control group, and the key in it (none: the file holds one number, in ns)."""

    path: Path
    key: str


class Tree:
    """Some processes with all that they started."""

    def __init__(self, roots: Mapping[int, str]) -> None:
        self._roots = roots

    def us(self) -> dict[str, float]:
        """By the names of the roots."""
        return by_root(processes(), self._roots)


class Containers:
    """The containers of a Docker engine into which something of a folder is mounted."""

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        self._engine = docker.from_env()
        self._files: dict[str, Usage] = {}
        self._us: dict[str, float] = {}

    def close(self) -> None:
        """Leave the engine."""
        self._engine.close()

    def us(self) -> dict[str, float]:
        """The sum over all of them, and over those that were there at an earlier reading."""
        for id in self._running():
            with contextlib.suppress(OSError, docker.errors.NotFound):  # it ends right now: its last reading stays
                self._us[id] = read_us(self._file(id))
        return {AGENTS: sum(self._us.values())}

    def _running(self) -> list[str]:
        containers = self._engine.api.containers()
        return [each["Id"] for each in containers if any(self._is_ours(mount) for mount in each["Mounts"])]

    def _is_ours(self, mount: Mapping[str, str]) -> bool:
        return mount.get("Source", "").startswith(self._root + os.sep)

    def _file(self, id: str) -> Usage:
        if id not in self._files:
            pid = self._engine.api.inspect_container(id)["State"]["Pid"]
            self._files[id] = usage(Path(f"/proc/{pid}/cgroup").read_text())
        return self._files[id]


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was used between two readings, by name."""
    return {name: us - before.get(name, 0.0) for name, us in after.items()}


def by_root(found: Mapping[int, Process], roots: Mapping[int, str]) -> dict[str, float]:
    """What each process and its ended children used, given to the nearest of its ancestors, or itself, that has a name.

    Processes without such an ancestor do not count.
    """
    used = dict.fromkeys(roots.values(), 0.0)
    for pid, process in found.items():
        at = pid
        while at in found and at not in roots:
            at = found[at].parent
        if at in roots:
            used[roots[at]] += process.us + process.ended_children_us
    return used


def processes() -> dict[int, Process]:
    """All processes of this machine, by id."""
    found = {}
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent, ended_children_us = parse_stat(Path(f"/proc/{pid}/stat").read_text())
            found[pid] = Process(parent, _own_us(pid), ended_children_us)
    return found


def parse_stat(text: str) -> tuple[int, float]:
    """The parent in a ``/proc/PID/stat``, and the microseconds of the ended children."""
    # The second field is the command's name in parentheses, and may hold spaces and parentheses of its own.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), (int(fields[13]) + int(fields[14])) * _TICK_US


def usage(text: str, cgroups: Path = _CGROUPS) -> Usage:
    """Where the processor time of a process's control group stands, from its ``/proc/PID/cgroup`` (version 1 or 2)."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            return Usage(cgroups / controllers / path.lstrip("/") / "cpuacct.usage", "")
    unified = next(line for line in text.splitlines() if line.startswith("0::"))
    return Usage(cgroups / unified[3:].lstrip("/") / "cpu.stat", "usage_usec")


def read_us(where: Usage) -> float:
    """The microseconds that stand there. Raises `OSError` when the group has gone."""
    text = where.path.read_text()
    if not where.key:
        return int(text) / 1e3
    return float(dict(line.split() for line in text.splitlines())[where.key])


def _own_us(pid: int) -> float:
    """All threads, also ended ones. Raises `OSError` when there is no such process.

    ``/proc/PID/stat`` has the same, in ticks of 10 ms.
    """
    # The kernel's id of the clock of another process (clock_getcpuclockid), for which Python has no name.
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e3
