"""How much of the disk a build may take, looked at while it takes it.

uv unpacks what it downloads as it comes, so nothing but a look at the folders tells how large a wheel becomes. A
program that writes past its bound is ended, and whoever started it throws away what it wrote.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from faas.core import errors

# The unit of `st_blocks`, whatever blocks the file system has (stat(2)).
_BLOCK = 512
_LEAST_FILE_BYTES = 32 * 1024 * 1024
_NAMED = 3
_LARGE = 2**62


class DiskUse(msgspec.Struct, frozen=True):
    """What folders hold: bytes of the disk (or of the files, if those are more), files and folders."""

    size: int = 0
    files: int = 0


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What a function may have with its requirements.

    ``places`` are folders that a program fills, each up to the bound; ``caches`` may hold twice as much, as something
    may have been in them.
    """

    places: tuple[Path, ...] = ()
    caches: tuple[Path, ...] = ()
    max_bytes: int
    max_files: int

    def check(self) -> None:
        """Raise `errors.TooLarge` when one of the places holds more than that."""
        for place in self.places:
            if _over(place, self.max_bytes, self.max_files):
                raise self.passed(f"the requirements unpack to too much; most of it: {largest(place)}")
        for place in self.caches:
            if _over(place, 2 * self.file_bytes, 2 * self.max_files):
                raise self.passed("the requirements unpack to too much")

    @property
    def file_bytes(self) -> int:
        """What one file may have, those that the installer keeps for itself included."""
        return max(self.max_bytes, _LEAST_FILE_BYTES)

    def passed(self, what: str) -> errors.TooLarge:
        """The error that says so."""
        return errors.TooLarge(
            f"{what}; a function may have {_mb(self.max_bytes)} in {self.max_files} files with its requirements",
            hint="fewer or smaller requirements, or larger max_artifact_bytes or max_artifact_files in the settings",
            limit=self.max_bytes,
        )


def taken(folder: Path, enough_bytes: int, enough_files: int) -> DiskUse:
    """What a folder holds, while others write to it; counted no further than it takes to be over one of the bounds."""
    size = files = 0
    left = [str(folder)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    size, files = size + _size(entry), files + 1
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    # Counted no further: what is too much may be millions of files.
                    if size > enough_bytes or files > enough_files:
                        return DiskUse(size, files)
        except (FileNotFoundError, NotADirectoryError):  # it was renamed or removed meanwhile
            continue
    return DiskUse(size, files)


def largest(folder: Path) -> str:
    """The largest things in a folder with their sizes, for people. They may be growing."""
    with os.scandir(folder) as entries:
        sizes = {
            each.name: _size(each) + (taken(Path(each.path), _LARGE, _LARGE).size if each.is_dir() else 0)
            for each in entries
        }
    most = sorted(sizes.items(), key=lambda item: item[1], reverse=True)[:_NAMED]
    return ", ".join(f"{name} {_mb(size)}" for name, size in most)


def _over(folder: Path, most_bytes: int, most_files: int) -> bool:
    found = taken(folder, most_bytes, most_files)
    return found.size > most_bytes or found.files > most_files


def _size(entry: os.DirEntry[str]) -> int:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0
    # Of a file with holes the first counts, as it is packed whole; of a small one the second, as a disk gives whole
    # blocks.
    return max(found.st_size, found.st_blocks * _BLOCK)


def _mb(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"
