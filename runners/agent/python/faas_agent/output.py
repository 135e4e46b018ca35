"""The sandbox's output: one pipe that is both stdout and stderr, so that whatever is printed keeps its order.

Python runs with ``-u``, so each write is in the pipe when it returns. The result frame follows it: the runner finds all
that an attempt printed in the pipe when its result arrives.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
from typing import Any

_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 18
"""What the runner keeps of one attempt. The kernel grants a user 64 MiB of pipes: 256 sandboxes of one user fit."""


class Output:
    """File descriptors 1 and 2 of this process, and the pipe behind them."""

    def __init__(self) -> None:
        self.reading_end, writing_end = os.pipe()
        _enlarge(writing_end)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        self._lead_to(writing_end)
        self._stdout, self._stderr = _stream(1, "<stdout>"), _stream(2, "<stderr>")
        sys.stdout = sys.__stdout__ = self._stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._stderr  # type: ignore[misc]

    def lead_to(self, writing_end: int) -> None:
        """Lead it into another pipe, whose reading end the runner has."""
        os.close(self.reading_end)
        self._lead_to(writing_end)

    def _lead_to(self, writing_end: int) -> None:
        os.dup2(writing_end, 1)
        os.dup2(writing_end, 2)
        os.close(writing_end)
        self._inode = os.fstat(1).st_ino

    def is_intact(self) -> bool:
        """Whether both descriptors still lead to the runner; a handler may have closed them."""
        try:
            return os.fstat(1).st_ino == self._inode == os.fstat(2).st_ino and not sys.stdout.closed
        except (OSError, AttributeError, ValueError):  # closed, replaced by no stream, detached
            return False

    def flush(self) -> None:
        """Empty what a stream of the user's own making may have kept back; ours keep nothing back unless told to."""
        out, err = self._stdout, self._stderr
        try:
            if sys.stdout is out and sys.stderr is err and out.write_through and err.write_through:
                return
        except ValueError:  # detached
            pass
        flush()


def flush() -> None:
    """Empty what a stream of the user's own making may have kept back."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S110 - a broken or missing stream is the user's and says nothing about the result
            pass


def say(text: str) -> None:
    """Write a text into the log, past whatever ``sys.stdout`` has become. A log that cannot be written is no error."""
    flush()
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return


def _stream(descriptor: int, name: str) -> io.TextIOWrapper:
    """An unbuffered stream. (One made before its descriptor changed remembers that it could seek.)"""
    raw = io.FileIO(descriptor, "w", closefd=False)
    raw.name = name
    unbuffered: Any = raw
    return io.TextIOWrapper(unbuffered, encoding="utf-8", errors="backslashreplace", write_through=True)


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:  # over the user's share: a smaller pipe only makes for more reads
        return
