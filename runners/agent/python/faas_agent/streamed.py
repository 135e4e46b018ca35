"""Objects whose bytes travel over the connection, for a sandbox that no descriptor can be passed to.

They are files to a handler, with all but `fileno`: each read and each write names its place in the object. So one that
an exception tore away can be made again.
"""

from __future__ import annotations

import io
import os
from typing import Any

PIECE_BYTES = 1 << 18
"""The most of one frame."""


class _Placed(io.RawIOBase):
    """An object with a place in it at which the next read or write goes on. ``store`` asks the runner."""

    def __init__(self, store: Any, what: str, number: int, size: int) -> None:
        super().__init__()
        self._store = store
        self._what = what
        self._number = number
        self._size = size
        self._at = 0

    def seekable(self) -> bool:
        """Whether a place in it can be chosen: always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        self._at = _place(offset, whence, self._at, self._size)
        return self._at


class Reading(_Placed):
    """An object that is open for reading, of ``size`` bytes."""

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        data = self._piece(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """See `io.RawIOBase.readall`; in pieces that are as large as they may be."""
        pieces = []
        while piece := self._piece(PIECE_BYTES):
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Let it go. The collector may do so anywhere, so the runner hears of it with the next request."""
        if not self.closed:
            super().close()
            self._store.release(self._number)

    def _piece(self, size: int) -> bytes:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        header = {"t": "read", "of": self._number, "offset": self._at, "size": min(size, PIECE_BYTES)}
        data: bytes = self._store.request(self._what, header).body
        self._at += len(data)
        return data


class Writing(_Placed):
    """An object that is being written. Whoever owns it has it published or discarded."""

    def __init__(self, store: Any, what: str, number: int) -> None:
        super().__init__(store, what, number, 0)

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def write(self, data: Any) -> int:
        """See `io.RawIOBase.write`: as much as one frame takes."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        piece = bytes(memoryview(data).cast("B")[:PIECE_BYTES])
        self._store.request(self._what, {"t": "write", "of": self._number, "offset": self._at}, piece)
        self._at += len(piece)
        self._size = max(self._size, self._at)
        return len(piece)


def _place(offset: int, whence: int, at: int, size: int) -> int:
    base = {os.SEEK_SET: 0, os.SEEK_CUR: at, os.SEEK_END: size}[whence]
    if base + offset < 0:
        raise OSError(f"negative seek position {base + offset}")
    return base + offset
