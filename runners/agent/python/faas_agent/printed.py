"""What a sandbox printed, as frames for a runner that its pipe cannot be passed to.

No more of an attempt's output is sent than was told is kept; the rest is read slowly, counted and dropped here.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Any

PREFIX = struct.Struct(">II")
FRAME = struct.Struct(">IIBIQ")
KIND = 3
HEADER_BYTES = FRAME.size - PREFIX.size
READ_BYTES = 1 << 16
BETWEEN_BYTES = 1 << 14
"""What is kept of the output before the first load."""

_F_GETPIPE_SZ = 1032


class Printed:
    """The pipe of the sandbox's output. ``out`` is where its frames go.

    Frames carry the number of the `load` or `invoke` that had come before what is in them was printed.
    """

    def __init__(self, out: bytearray) -> None:
        self.pipe = -1
        self.is_slowed = False
        """Whether more is printed than is kept: then the pipe is emptied into nothing, a little at a time."""
        self._out = out
        self._number = 0
        self._most = BETWEEN_BYTES
        self._left = BETWEEN_BYTES
        self._dropped = 0
        self._capacity = 0
        self._scratch = bytearray()

    def open(self, pipe: int) -> None:
        """Read from this pipe, once something is loaded."""
        # This end alone: whoever prints waits for room as ever.
        os.set_blocking(pipe, False)
        self.pipe = pipe
        self._capacity = fcntl.fcntl(pipe, _F_GETPIPE_SZ)

    @property
    def is_awaited(self) -> bool:
        """Whether output may come that is to be sent at once."""
        return self.pipe >= 0 and self._number > 0 and not self.is_slowed

    def begin(self, most_bytes: int | None = None) -> None:
        """A load or an attempt begins: what is in the pipe was printed before it."""
        self.drain()
        self._most = self._most if most_bytes is None else most_bytes
        self._left = self._most
        self._number += 1
        self.is_slowed = False

    def take(self) -> None:
        """Send what is there."""
        self._read(READ_BYTES)
        self.is_slowed = self.pipe >= 0 and not self._left

    def drain(self) -> None:
        """Send all that is in the pipe now, and say how much was dropped."""
        left = self._capacity
        while left > 0 and self.pipe >= 0:
            read = self._read(min(READ_BYTES, left)) if self._left else self._discard()
            if not read:
                break
            left -= read
        if self._dropped:
            self._frame(b"")

    def discard(self) -> None:
        """Empty the pipe into nothing; when nothing more comes, whoever prints is not slowed any more."""
        self.is_slowed = self._discard() > 0

    def _read(self, most: int) -> int:
        data = self._got(lambda: os.read(self.pipe, most))
        if data:
            kept = data[: self._left]
            self._left -= len(kept)
            self._dropped += len(data) - len(kept)
            if kept:
                self._frame(kept)
        return len(data) if data else 0

    def _discard(self) -> int:
        self._scratch = self._scratch or bytearray(self._capacity)
        read = self._got(lambda: os.readv(self.pipe, [self._scratch])) or 0
        self._dropped += read
        return int(read)

    def _got(self, read: Any) -> Any:
        """What there is; None when there is nothing. A pipe that nobody can write to any more is closed."""
        if self.pipe < 0:
            return None
        try:
            got = read()
        except BlockingIOError:
            return None
        if not got:
            os.close(self.pipe)
            self.pipe = -1
        return got

    def _frame(self, data: bytes) -> None:
        self._out += FRAME.pack(HEADER_BYTES, len(data), KIND, self._number, self._dropped) + data
        self._dropped = 0
