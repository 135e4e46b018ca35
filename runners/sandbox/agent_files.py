"""The agent as sandboxes see it: a copy that their user can read, with the bytecode of their Python.

An installation's files may be unreadable for others, and sandboxes cannot write bytecode: without the copy each start
of a sandbox would compile the agent.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import secrets
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "agent" / "python"
HOST_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def prepare(folders_root: Path, python: str, source: Path = SOURCE) -> Path:
    """The folder of the copy for sandboxes whose Python is ``python`` ("3.11"), made when it is not there.

    Bytecode is compiled when that is this process's Python too; another one compiles at each start. Blocks.
    """
    files = sorted(path for path in source.rglob("*.py") if path.is_file())
    target = folders_root / f"agent-{_digest(files, source, python)}"
    if target.is_dir():
        return target
    making = folders_root / f"agent-{secrets.token_hex(8)}.making"
    _copy(files, source, making)
    if python == HOST_PYTHON:
        _compile(making)
    try:
        making.rename(target)
    except OSError:  # another runner was quicker
        shutil.rmtree(making, ignore_errors=True)
    return target


def _digest(files: list[Path], source: Path, python: str) -> str:
    digest = hashlib.sha256(f"{python} {sys.implementation.cache_tag}".encode())
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
            (Path(folder) / name).chmod(0o644)


def _compile(target: Path) -> None:
    for path in target.rglob("*.py"):
        made = py_compile.compile(
            str(path),
            dfile=path.name,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        if made is not None:
            Path(made).chmod(0o644)
            Path(made).parent.chmod(0o755)
