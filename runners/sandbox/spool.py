"""Objects as file descriptors, which is what a sandbox of this host is given, whatever the bucket keeps them in.

Where an object is a file its own descriptor is passed, and nothing is copied. Where it is not, it goes through an
unnamed file in the system's temporary folder, whole: before a function reads it, and after a function wrote it.
Everything here blocks, and raises `errors.Unavailable` when there is no room.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import IO

from faas import buckets
from faas.core import errors

_CHUNK_BYTES = 1 << 20


def open_object(bucket: buckets.Bucket, key: str) -> int:
    """A descriptor for reading an object; the caller closes it. Raises what `buckets.Bucket.open` raises."""
    reading = bucket.open(key)
    try:
        with _translated():
            own = reading.descriptor()
            # One of its own, as closing the reading closes the other.
            return os.dup(own) if own is not None else _spooled(reading)
    finally:
        reading.close()


class Spool:
    """An object that a sandbox writes through ``descriptor``, or whose pieces it sends in any order.

    Close it; what is not committed then is discarded.
    """

    def __init__(self, writing: buckets.Writing) -> None:
        self._writing = writing
        self._file: IO[bytes] | None = None
        own = writing.descriptor()
        if own is None:
            with _translated():
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `close` closes it
                own = self._file.fileno()
        self.descriptor = own

    @classmethod
    def begin(cls, bucket: buckets.Bucket, key: str) -> Spool:
        """Begin to write an object. Raises what `buckets.Bucket.begin` raises."""
        writing = bucket.begin(key)
        try:
            return cls(writing)
        except errors.FaasError:
            writing.close()
            raise

    def write_at(self, offset: int, data: bytes) -> None:
        """Put a piece into its place."""
        with _translated():
            rest = memoryview(data)
            while rest:
                # A full disk writes a part, and fails at the next.
                written = os.pwrite(self.descriptor, rest, offset)
                rest, offset = rest[written:], offset + written

    def commit(self, writer: buckets.Writer) -> None:
        """Publish what was written, and close. Raises what `buckets.Writing.commit` raises."""
        try:
            if self._file is not None:
                self._pour(self._file)
            self._writing.commit(writer)
        finally:
            self.close()

    def close(self) -> None:
        """Let it go. Harmless when done twice."""
        self._writing.close()
        if self._file is not None:
            self._file.close()

    def _pour(self, file: IO[bytes]) -> None:
        with _translated():
            # No further than its end is now: a sandbox that keeps the descriptor must not keep us reading.
            end, offset = os.fstat(file.fileno()).st_size, 0
            while offset < end and (piece := os.pread(file.fileno(), min(end - offset, _CHUNK_BYTES), offset)):
                self._writing.write(piece)
                offset += len(piece)


def _spooled(reading: buckets.Reading) -> int:
    offset = 0
    with tempfile.TemporaryFile() as file:
        while piece := reading.read(offset, _CHUNK_BYTES):
            file.write(piece)
            offset += len(piece)
        file.seek(0)
        return os.dup(file.fileno())


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.Unavailable(f"an object cannot be passed on: {error.strerror or error}") from error
