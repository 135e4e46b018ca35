"""A function's source folder as one tar: the same files always give the same bytes.

Names are sorted; owners and times are left out. A link is followed, so that what is sent is whole. What tools leave
behind and no function needs is skipped (`SKIPPED`), as are the platform's data directory and the project's buckets.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from faas.core import errors

SKIPPED = frozenset(
    {
        ".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".faas", ".mypy_cache", ".ruff_cache",
        ".pytest_cache", ".hypothesis", ".tox", ".nox", ".idea", ".vscode", ".DS_Store",
    }
)  # fmt: skip


def pack(folder: Path, out: IO[bytes], *, leave_out: Iterable[Path], max_bytes: int) -> None:
    """Write the folder's files to ``out``, without the folders to ``leave_out``.

    Raises `errors.BadRequest` for what cannot be read and `errors.TooLarge` past ``max_bytes``.
    """
    if not folder.is_dir():
        raise errors.BadRequest(f"source: {folder} is no folder")
    total = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, name in _files(folder, frozenset(map(os.path.realpath, leave_out))):
            info = _entry(path, name)
            total += info.size + tarfile.BLOCKSIZE
            if total > max_bytes:
                raise errors.TooLarge(
                    f"source: {folder} is over {max_bytes} bytes",
                    hint="keep data in a bucket, or raise max_source_bytes",
                    limit=max_bytes,
                )
            _add(tar, info, path)


def _files(folder: Path, leave_out: frozenset[str]) -> Iterator[tuple[Path, str]]:
    found: list[tuple[str, Path]] = []
    for at, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        here = Path(at)
        folders[:] = [name for name in folders if name not in SKIPPED and _is_below(here, name, leave_out)]
        for name in files:
            path = here / name
            if name not in SKIPPED and not name.endswith((".pyc", ".pyo")) and (path.is_file() or path.is_symlink()):
                found.append((path.relative_to(folder).as_posix(), path))
    for name, path in sorted(found):
        yield path, name


def _is_below(here: Path, name: str, leave_out: frozenset[str]) -> bool:
    """Whether to go into a folder: not when it is left out, nor when a link leads back to where we are."""
    target = os.path.realpath(here / name)
    ours = os.path.realpath(here)
    return target not in leave_out and os.path.commonpath([target, ours]) != target


def _entry(path: Path, name: str) -> tarfile.TarInfo:
    try:
        status = path.stat()
    except OSError as error:
        raise _cannot_read(path, error) from error
    info = tarfile.TarInfo(name)
    info.size = status.st_size
    info.mode = 0o755 if status.st_mode & 0o100 else 0o644
    return info


def _add(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
    try:
        with path.open("rb") as file:
            tar.addfile(info, file)
    except OSError as error:
        raise _cannot_read(path, error) from error


def _unreadable(error: OSError) -> None:
    raise _cannot_read(Path(error.filename), error) from error


def _cannot_read(path: Path, error: OSError) -> errors.BadRequest:
    return errors.BadRequest(f"source: {path} cannot be read: {error.strerror or error}")
