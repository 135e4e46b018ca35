"""The memory cgroup of a process, whichever version the host runs: where it is, and whom it has killed.

Reading may fail for who is not root, in a rootless engine, or when the container has gone: then the answer is None and
the caller asks the engine.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def memory_group(pid: int, proc: Path = Path("/proc"), root: Path = ROOT) -> Path | None:
    """The folder of the cgroup that limits the memory of a process."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for folder in _candidates(lines, root):
        if folder.is_dir():
            return folder
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


def _candidates(lines: list[str], root: Path) -> list[Path]:
    """Lines read ``number:controllers:path``; version 2 has number 0 and no controllers. Version 1 goes first."""
    found: list[Path] = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found.insert(0, root / "memory" / path.lstrip("/"))
        elif number == "0" and not controllers:
            found.append(root / path.lstrip("/"))
    return found


def _figure(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None
