"""What differs between two bundles: files that came, went, or hold something else."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from typing import BinaryIO, Literal

import msgspec

from faas.core import errors

_CHUNK_BYTES = 1 << 20
_BYTECODE = "__pycache__/"
"""What a build makes of the sources. It differs where they do."""


class FileState(msgspec.Struct, frozen=True):
    """What a file holds: so many bytes, with this SHA-256."""

    size_bytes: int
    sha256: str


class FileChange(msgspec.Struct, frozen=True):
    """One file that is not the same in both; None on the side that does not have it."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: FileState | None
    after: FileState | None


class Compared(msgspec.Struct, frozen=True):
    """The files that differ, by their paths, and whether there are more of them."""

    files: tuple[FileChange, ...]
    is_cut: bool


def compare(old: BinaryIO, new: BinaryIO, most: int) -> Compared:
    """What differs, up to ``most`` files. Raises `errors.Unavailable` for what is no bundle."""
    try:
        with tarfile.open(fileobj=old, mode="r:") as before, tarfile.open(fileobj=new, mode="r:") as after:
            return _compared(before, after, most)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise errors.Unavailable(f"an artifact cannot be read: {error}", hint="deploy its function again") from error


def _compared(before: tarfile.TarFile, after: tarfile.TarFile, most: int) -> Compared:
    olds, news = _files(before), _files(after)
    changes: list[FileChange] = []
    for path in sorted(olds.keys() | news.keys()):
        had, has = _state(before, olds.get(path)), _state(after, news.get(path))
        if had != has:
            if len(changes) == most:
                return Compared(tuple(changes), True)
            changes.append(
                FileChange(path, "added" if had is None else "removed" if has is None else "changed", had, has)
            )
    return Compared(tuple(changes), False)


def _files(tar: tarfile.TarFile) -> Mapping[str, tarfile.TarInfo]:
    return {each.name: each for each in tar if each.isfile() and _BYTECODE not in each.name}


def _state(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> FileState | None:
    content = tar.extractfile(member) if member is not None else None
    if member is None or content is None:
        return None
    found = hashlib.sha256()
    with content:
        while chunk := content.read(_CHUNK_BYTES):
            found.update(chunk)
    return FileState(member.size, found.hexdigest())
