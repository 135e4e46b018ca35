"""The objects of a folder in the order of their keys, read no further than is asked for. Everything here blocks.

A walk can rest between two pages: then it holds no descriptor, only the names that are left of the folders on the way
to where it stopped, and for each of these a stamp. It goes on only when no stamp has changed, which is when reading the
folders anew would give the same names. So a page is the same with a kept walk and without one.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Iterator

from faas.buckets import keys, objects
from faas.buckets.folder import ordered, stamps, tree

_SETTLED_NS = 2_000_000_000
"""How long ago a folder must have changed for its stamp to tell of any later change: file systems keep time in steps,
the coarsest of two seconds."""

_Stamp = tuple[int, int, int, int]


class _Level:
    """A folder on the way down: how it is called in the one above, the key that its objects start with, its stamp, and
    the names that are left of it."""

    __slots__ = ("fd", "name", "names", "path", "stamp")

    def __init__(self, fd: int, name: str, path: str, names: ordered.Names, stamp: _Stamp | None) -> None:
        self.fd = fd
        self.name = name
        self.path = path
        self.names = names
        self.stamp = stamp


class Walk:
    """The objects under an open folder whose key starts with ``prefix`` and sorts after ``after``.

    The way down is a list and no recursion: a key may lead through five hundred folders. Close it. Raises `OSError`.
    """

    def __init__(self, root: int, prefix: str, after: str) -> None:
        self._prefix = prefix
        self._after = after
        # A descriptor of its own, as the walk may outlive the one of whoever asks.
        self._levels = [self._read(os.dup(root), "", "")]

    @property
    def names(self) -> int:
        """How many names it holds."""
        return sum(len(level.names) for level in self._levels)

    def page(self, limit: int) -> list[objects.Object]:
        """The next objects, at most ``limit``."""
        return list(itertools.islice(self._objects(), limit))

    @property
    def may_rest(self) -> bool:
        """Whether it may go on with `resume` when it was closed; another walk is made if not."""
        return all(level.stamp is not None for level in self._levels)

    def resume(self, root: int) -> bool:
        """Open the folders again; False, with nothing open, when one has changed or has gone."""
        try:
            return self._reopen(root)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            self.close()
            return False

    def close(self) -> None:
        """Let all descriptors go; the walk rests."""
        for level in self._levels:
            if level.fd >= 0:
                os.close(level.fd)
                level.fd = -1

    def _objects(self) -> Iterator[objects.Object]:
        levels = self._levels
        while levels:
            level = levels[-1]
            if not level.names:
                os.close(levels.pop().fd)
                continue
            name = level.names.pop()
            if name.endswith("/"):
                levels += self._entered(level, name)
            else:
                yield from _stat_object(level.fd, name, level.path + name)

    def _entered(self, outer: _Level, name: str) -> list[_Level]:
        """The level of a folder; none when it has gone, is none any more, or is not ours to read."""
        try:
            fd = os.open(name[:-1], tree.FOLDER, dir_fd=outer.fd)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return []
        return [self._read(fd, name[:-1], outer.path + name)]

    def _read(self, fd: int, name: str, path: str) -> _Level:
        """The level of an open folder. Takes the descriptor over."""
        try:
            stamp = _stamp(fd)  # before its names: what changes meanwhile must change the stamp
            return _Level(fd, name, path, self._names(fd, path), stamp)
        except OSError:
            os.close(fd)
            raise

    def _names(self, fd: int, path: str) -> ordered.Names:
        """Names of files and folders in the order of keys; folders' end with a slash, as their keys do."""
        with os.scandir(fd) as scan:
            found = (
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in scan
                if not entry.name.startswith(".") and _is_text(entry.name)
            )
            if not self._holds_all_below(path):
                found = (name for name in found if self._is_wanted(path + name))
            return ordered.Names(ordered.in_parts(found))

    def _holds_all_below(self, path: str) -> bool:
        # All that can be below it fits: then no name needs a look of its own.
        return path.startswith(self._prefix) and path > self._after and keys.fits(path + "x" * keys.MAX_NAME_BYTES)

    def _is_wanted(self, key: str) -> bool:
        if not keys.fits(key):
            return False
        if not key.endswith("/"):
            return key > self._after and key.startswith(self._prefix)
        on_the_way = key.startswith(self._prefix) or self._prefix.startswith(key)
        return on_the_way and (key > self._after or self._after.startswith(key))

    def _reopen(self, root: int) -> bool:
        outer = os.dup(root)
        for place, level in enumerate(self._levels):
            level.fd = os.open(level.name, tree.FOLDER, dir_fd=outer) if place else outer
            outer = level.fd
            if _stamp(outer) != level.stamp:
                self.close()
                return False
        return True


def _stamp(fd: int) -> _Stamp | None:
    """What changes whenever a name in the folder comes, goes or stands for another file; None while it may not."""
    found = os.fstat(fd)
    changed_ns = max(found.st_mtime_ns, found.st_ctime_ns)
    # Changed just now: another change within the same step of the clock would leave the stamp as it is.
    if time.time_ns() - changed_ns < _SETTLED_NS:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _stat_object(folder: int, name: str, key: str) -> list[objects.Object]:
    """The object of that name; none when it has gone or is no plain file."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return []
    return [stamps.object_of(key, found)] if stat.S_ISREG(found.st_mode) else []
