"""Paths that somebody wrote into a file: where they lead, and what is there, whatever was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def resolved(folder: Path, written: str) -> Path | None:
    """Where it leads from a folder; None where no file can be: it holds a NUL, or links that go round."""
    try:
        return (folder / written).resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def is_kind(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether something of that kind (`stat.S_ISREG`, …) is there, and may be looked at. A name too long is none."""
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False
