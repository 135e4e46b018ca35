"""The objects of a folder in the order of their keys, read no further than is asked for. Everything here blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from faas.buckets import keys, objects

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder within a bucket is opened: never through a link."""


_NO_MORE = ("", False)


class _Level(NamedTuple):
    """A folder on the way down: its descriptor, the key that its objects start with, and what is left of it."""

    fd: int
    path: str
    entries: Iterator[tuple[str, bool]]


def walk(root: int, prefix: str, after: str) -> Iterator[objects.Object]:
    """The objects under an open folder whose key starts with ``prefix`` and sorts after ``after``.

    The way down is a list and no recursion: a key may lead through five hundred folders.
    """
    levels = [_Level(os.dup(root), "", iter(_entries(root)))]
    try:
        while levels:
            level = levels[-1]
            name, is_folder = next(level.entries, _NO_MORE)
            key = level.path + name
            if not name:
                os.close(levels.pop().fd)
            elif is_folder and _may_hold(key, prefix, after):
                levels += _entered(level.fd, name.rstrip("/"), key)
            elif not is_folder and key > after and key.startswith(prefix) and keys.fits(key):
                yield from _stat_object(level.fd, name, key)
    finally:
        for level in levels:
            os.close(level.fd)


def _entered(outer: int, name: str, path: str) -> list[_Level]:
    """The level of a folder; none when it has gone, is none any more, or is not ours to read."""
    try:
        fd = os.open(name, FOLDER, dir_fd=outer)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    try:
        return [_Level(fd, path, iter(_entries(fd)))]
    except OSError:
        os.close(fd)
        raise


def _may_hold(folder_key: str, prefix: str, after: str) -> bool:
    on_the_way = folder_key.startswith(prefix) or prefix.startswith(folder_key)
    return on_the_way and (folder_key > after or after.startswith(folder_key)) and keys.fits(folder_key)


def _entries(folder: int) -> list[tuple[str, bool]]:
    """Names of files and folders (these end with a slash, which is how their objects sort), in the order of keys."""
    with os.scandir(folder) as scan:
        found = [
            (entry.name + "/", True) if entry.is_dir(follow_symlinks=False) else (entry.name, False)
            for entry in scan
            if not entry.name.startswith(".") and _is_text(entry.name)
        ]
    found.sort()
    return found


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _stat_object(folder: int, name: str, key: str) -> list[objects.Object]:
    """The object of that name; none when it has gone or is no plain file."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return []
    return [objects.object_of(key, found)] if stat.S_ISREG(found.st_mode) else []
