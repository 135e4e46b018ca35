"""What keeps a container from what the kernel would let it do: a filter of its calls, masks and limits.

All of it are fields of the call that creates a container. What an engine does not have is left out; `faas doctor` says
so.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import msgspec

from runners.engines.docker import abilities, cgroups

MAX_OPEN_FILES = 1024
MAX_PROCESSES = 32_768
"""Of a user, where an engine needs a number: what holds is the limit of the container's processes."""

MAX_PENDING_SIGNALS = 1024
MAX_QUEUED_BYTES = 819_200

_FILTER = Path(__file__).with_name("seccomp.json")
_FILTERED = ("x86_64", "amd64", "aarch64", "arm64")
"""The processors whose calls the filter knows, by the names of engines."""

_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/locks",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    # The kernel has a few thousand terminals for all containers together.
    "/dev/pts/ptmx",
)
"""What engines mask, and more; a list of one's own takes the place of theirs."""


def fields(has: abilities.Abilities, max_file_bytes: int, filter_file: str = "") -> dict[str, Any]:
    """The part of a container's ``HostConfig`` that confines it; ``filter_file`` is for engines that want one."""
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", *_filter(has, filter_file), *_masks(has)],
        "MaskedPaths": list(_MASKED),
        "Ulimits": [
            {"Name": name, "Soft": most, "Hard": most}
            for name, most in (
                ("fsize", max_file_bytes),
                ("nofile", MAX_OPEN_FILES),
                ("sigpending", MAX_PENDING_SIGNALS),
                ("msgqueue", MAX_QUEUED_BYTES),
                ("core", 0),
                *asked_by_podman(has)[1:],
            )
        ],
    }


def with_swap(memory_bytes: int, has: abilities.Abilities) -> int:
    """The limit of memory and swap together: no swap, as far as the version of cgroups can say so for good."""
    return memory_bytes + (cgroups.LEAST_SWAP_BYTES if has.cgroups == 2 else 0)


def _filter(has: abilities.Abilities, file: str) -> list[str]:
    """The engine's own filter is left in place on a processor whose calls ours does not know."""
    return [f"seccomp={file or filter_text()}"] if has.has_seccomp and knows(has) else []


def asked_by_podman(has: abilities.Abilities) -> list[tuple[str, int]]:
    """Numbers without which Podman asks for some that a root without all capabilities may not give."""
    return [("nofile", MAX_OPEN_FILES), ("nproc", MAX_PROCESSES)] if has.maker == abilities.PODMAN else []


def _masks(has: abilities.Abilities) -> list[str]:
    """Podman passes over ``MaskedPaths``, and takes an option that Docker does not know."""
    return [f"mask={':'.join(_MASKED)}"] if has.maker == abilities.PODMAN else []


def filter_file(has: abilities.Abilities, folder: Path) -> str:
    """A file with our filter, for an engine that reads it by name (Podman); else no name. Raises `OSError`."""
    if has.maker != abilities.PODMAN:
        return ""
    path = folder / "seccomp.json"
    fresh = folder / f".seccomp.{os.getpid()}"
    fresh.write_text(filter_text())
    # Several nodes write it, and the engine may be reading it for another container.
    fresh.replace(path)
    return str(path)


def knows(has: abilities.Abilities) -> bool:
    """Whether our filter is for the processor of the engine's host."""
    return has.machine in _FILTERED


@functools.cache
def filter_text() -> str:
    """Our seccomp profile, on one line."""
    return msgspec.json.format(_FILTER.read_bytes(), indent=-1).decode()
