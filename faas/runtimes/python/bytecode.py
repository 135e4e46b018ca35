"""Bytecode beside the source, so that no cold start compiles.

Bytecode belongs to one minor version of Python. When this machine has no interpreter of the runtime's version, a
bundle ships as source only: it runs all the same, and each cold start compiles.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import msgspec

from faas.runtimes import children

MOUNTED_AT = "/var/task/"
_SCRIPT = Path(__file__).with_name("compile_files.py")
# A fixed number: what a module compiles to may depend on what the same process compiled before it.
_FILES_PER_PROCESS = 400


class Trouble(msgspec.Struct, frozen=True):
    """A module that does not compile, and what the compiler says of it."""

    file: str
    text: str


class CompiledModules(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a folder's modules."""

    files: int = 0
    troubles: tuple[Trouble, ...] = ()
    note: str = ""


def compiler(python: str) -> str | None:
    """An interpreter of this machine of exactly this version ("3.11"), or None."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return shutil.which(f"python{python}")


def compile_tree(folder: Path, python: str, programs: children.Programs) -> CompiledModules:
    """Compile every module below ``folder``. One that does not compile is reported and costs only its own bytecode.

    Raises `errors.BuildFailed` when the deadline passes, `errors.TooLarge` when the bytecode takes too much room.
    """
    interpreter = compiler(python)
    if interpreter is None:
        return CompiledModules(note=f"shipped as source: there is no Python {python} on this machine to compile it")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if path.is_file())
    troubles: list[Trouble] = []
    for start in range(0, len(files), _FILES_PER_PROCESS):
        troubles += _compile(interpreter, python, folder, files[start : start + _FILES_PER_PROCESS], programs)
    return CompiledModules(files=len(files), troubles=tuple(troubles), note=f"{len(files)} modules")


def _compile(
    interpreter: str, python: str, folder: Path, files: list[str], programs: children.Programs
) -> list[Trouble]:
    work = msgspec.json.encode({"folder": str(folder), "prefix": MOUNTED_AT, "files": files}).decode()
    job = children.Program(
        command=[interpreter, "-S", "-s", str(_SCRIPT), python],
        cwd=Path("/"),
        # Sets are written in the order of their hashes: with another seed the same source would be other bytes.
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=work,
        fills=(folder,),
        reads=(_SCRIPT,),
    )
    ended = programs.run(job)
    if f"Errno {errno.ENOSPC}]" in ended.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if ended.code != 0:
        said = ended.stderr.strip().splitlines()
        return [Trouble("", f"the compiler ended with {ended.code}: {said[-1] if said else ''}")]
    return [Trouble(*trouble) for trouble in msgspec.json.decode(ended.stdout, type=list[tuple[str, str]])]
