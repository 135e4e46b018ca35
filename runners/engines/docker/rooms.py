"""How large the folders in memory of a sandbox are. What is written there is part of its memory. No I/O.

An engine makes them before it is known which function a sandbox is for. A file system that promises more than the
memory has is worse than a small one: a program is not told that it is full, but killed.
"""

from __future__ import annotations

from collections.abc import Mapping

SHM_MB = 64
"""What engines give to ``/dev/shm``."""

_INTERPRETER_MB = 32


def of(memory_mb: int, tmp_mb: int) -> Mapping[str, int]:
    """The size in MB of each, for a function with so much memory: a quarter of it, or 32 MB, is left for the rest."""
    left_mb = memory_mb - max(_INTERPRETER_MB, memory_mb // 4)
    return {"/tmp": min(tmp_mb, left_mb), "/dev/shm": min(SHM_MB, left_mb)}  # noqa: S108 - the sandbox's own
