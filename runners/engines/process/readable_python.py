"""A Python that another user can run: this one, or where it lies in a folder of root's alone, links to its files.

What a program needs of it is its executable, its standard library and, in some builds, its shared library. What was
installed beside the library is left out, as in containers.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import msgspec

from runners.sandbox import base

CACHE = Path("/var/cache/faas")
_LEFT_OUT = frozenset({"test", "tests", "site-packages", "dist-packages", "idlelib", "turtledemo"})
_PROBE = "import json, socket, tempfile"


class Interpreter(msgspec.Struct, frozen=True):
    """An executable, and what its environment has to have."""

    path: str
    environ: Mapping[str, str] = {}


def find(user: int, cache: Path = CACHE) -> Interpreter:
    """A Python that the user can run. Blocks. Raises `base.EngineUnavailable` when there is none."""
    own = Interpreter(sys.executable)
    why = _fault(own, user)
    if not why:
        return own
    try:
        linked = _linked(cache)
    except OSError as error:
        raise _refusal(f"{why}, and its files cannot be linked into {cache}: {error.strerror}") from error
    if left := _fault(linked, user):
        raise _refusal(left)
    return linked


def _fault(python: Interpreter, user: int) -> str:
    """Why a user cannot run it; empty when it can."""
    # Tried, not worked out: a folder above may be closed, and a file system mounted so that nothing runs from it.
    command = [python.path, "-I", "-S", "-c", _PROBE]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            cwd="/",
            env=dict(python.environ),
            user=user,
            group=user,
            extra_groups=[],
        )
    except OSError as error:
        return error.strerror or str(error)
    said = done.stderr.decode(errors="replace").strip()
    return (said.rpartition("\n")[2] or f"exit {done.returncode}") if done.returncode else ""


def _refusal(why: str) -> base.EngineUnavailable:
    return base.EngineUnavailable(
        f"functions of root's platform run as other users, who cannot run {sys.executable}: {why}",
        hint="install Python where others may read it, such as /opt, or run the platform as a user of its own",
    )


def _linked(cache: Path) -> Interpreter:
    """The links, made when they are not there. Raises `OSError`."""
    executable = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    target = cache / f"python-{_digest(executable, library)}"
    if not target.is_dir():
        _make(target, executable, library)
    found = target / "bin" / executable.name
    shared = {"LD_LIBRARY_PATH": str(target / "lib")} if any((target / "lib").glob("libpython*")) else {}
    return Interpreter(str(found), shared)


def _make(target: Path, executable: Path, library: Path) -> None:
    making = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    for folder in (target.parent, making, making / "bin", making / "lib"):
        _folder(folder)
    try:
        _link(executable, making / "bin" / executable.name)
        _link_tree(library, making / "lib" / library.name)
        for shared in library.parent.glob("libpython*.so*"):
            _link(shared.resolve(), making / "lib" / shared.name)
        with contextlib.suppress(FileExistsError):
            making.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another was quicker
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _digest(executable: Path, library: Path) -> str:
    seen = [f"{path}\0{path.stat().st_ino}\0{path.stat().st_mtime_ns}" for path in (executable, library)]
    return hashlib.sha256("\0".join([sys.version, *seen]).encode()).hexdigest()[:16]


def _link_tree(source: Path, target: Path) -> None:
    for at, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        here = target / Path(at).relative_to(source)
        _folder(here)
        for name in names:
            _link(Path(at, name).resolve(), here / name)


def _folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)


def _link(source: Path, target: Path) -> None:
    if source.is_file() and source.stat().st_mode & 0o044 == 0o044:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    if source.is_file():  # on another file system, or for its owner only
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
