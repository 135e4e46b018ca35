"""Files of a bucket that are open: for reading as they are, for writing without a name until they are committed."""

from __future__ import annotations

import os

from faas.buckets import objects, port
from faas.buckets.folder import publishing, stamps
from faas.buckets.folder import tree as trees

_TRIES = 10
_CLOSED = -1


class FileReading:
    """An open file of a bucket; a `port.Reading`."""

    def __init__(self, tree: trees.Tree, fd: int, key: str) -> None:
        self._tree = tree
        self._fd = fd
        self._key = key

    def object(self) -> objects.Object:
        """See `port.Reading.object`."""
        with self._tree.translated():
            return stamps.object_of(self._key, os.fstat(self._fd))

    def read(self, offset: int, size: int) -> bytes:
        """See `port.Reading.read`."""
        with self._tree.translated():
            return os.pread(self._fd, size, offset)

    def descriptor(self) -> int:
        """See `port.Reading.descriptor`."""
        return self._fd

    def close(self) -> None:
        """See `port.Reading.close`."""
        fd, self._fd = self._fd, _CLOSED
        if fd != _CLOSED:
            os.close(fd)


class FileWriting:
    """A file without a name in a bucket's folder; a `port.Writing`."""

    def __init__(self, tree: trees.Tree, fd: int, key: str) -> None:
        self._tree = tree
        self._fd = fd
        self._key = key
        self._is_shared = False

    def write(self, data: bytes) -> None:
        """See `port.Writing.write`."""
        rest = memoryview(data)
        with self._tree.translated():
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def descriptor(self) -> int:
        """See `port.Writing.descriptor`."""
        # Whoever gets it may keep a copy, or a mapping, for as long as it likes.
        self._is_shared = True
        return self._fd

    def commit(self, writer: port.Writer | None = None) -> objects.Object:
        """See `port.Writing.commit`. On a file system without extended attributes ``writer`` is not kept."""
        with self._tree.translated():
            # Before it is synced: the copy, if it takes one, is what has to be on the disk.
            if self._is_shared:
                self._seal()
            # The bytes are on disk before the name is: no crash shows half an object.
            os.fdatasync(self._fd)
            publishing.mark(self._fd, writer)
            return self._publish(writer)

    def close(self) -> None:
        """See `port.Writing.close`."""
        fd, self._fd = self._fd, _CLOSED
        if fd != _CLOSED:
            os.close(fd)

    def _seal(self) -> None:
        """Go on with a file that nobody else can write to."""
        with self._tree.opened_root(make=True) as root:
            # `sealed` closes what it is given, also when it fails.
            fd, self._fd = self._fd, _CLOSED
            self._fd = publishing.sealed(fd, root)

    def _publish(self, writer: port.Writer | None) -> objects.Object:
        # Somebody may remove the folders between their making and the move into the last of them.
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._tree.opened_folder_of(self._key, make=True) as (folder, name):
                    return stamps.object_of(self._key, publishing.publish(self._fd, folder, name, writer))
            except FileNotFoundError:
                if not tries_left:
                    raise
        raise self._tree.missing(self._key)
