"""The agent as sandboxes see it: a copy that their user can read, made ready for the version that they have.

An installation's files may be unreadable for others, and sandboxes cannot write: what a language keeps of its compiling
is made in the copy.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
from pathlib import Path

from faas.runtimes import port


def prepare(folders_root: Path, runtime: port.Runtime, has: str) -> Path:
    """The folder of the copy for sandboxes that have the version ``has`` ("python3.11"), made when it is not there.

    Blocks.
    """
    source = runtime.agent.folder
    files = sorted(path for path in source.rglob(runtime.agent.files) if path.is_file())
    target = folders_root / f"agent-{_digest(files, source, has)}"
    if target.is_dir():
        return target
    # Whoever dies halfway leaves this name behind, never the other: what has the other is whole.
    making = folders_root / f"agent-{secrets.token_hex(8)}.making"
    _copy(files, source, making)
    runtime.make_ready(making, has)
    try:
        making.rename(target)
    except OSError:  # another runner was quicker
        shutil.rmtree(making, ignore_errors=True)
    return target


def _digest(files: list[Path], source: Path, has: str) -> str:
    # What is made ready may depend on the platform's own interpreter.
    digest = hashlib.sha256(f"{has} {sys.implementation.cache_tag}".encode())
    for path in files:
        digest.update(f"\0{path.relative_to(source)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _copy(files: list[Path], source: Path, target: Path) -> None:
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for folder, _, names in os.walk(target):
        Path(folder).chmod(0o755)
        for name in names:
            # The platform's umask keeps all others out, and sandboxes are others.
            (Path(folder) / name).chmod(0o644)
