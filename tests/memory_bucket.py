"""A bucket in memory: the port of buckets for a store that knows no files, and so no descriptors.

It is small and honest: objects are replaced as a whole, a version is a number that only grows, and a cursor is a place
in the list of all changes, good for every feed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from faas import buckets
from faas.core import errors

MOST_TOLD = 100


class Stored(NamedTuple):
    """One object, its content, and who wrote it."""

    object: buckets.Object
    data: bytes
    writer: buckets.Writer | None


class MemoryBucket:
    """A `buckets.Bucket`. ``changed`` are the keys that changed, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.changed: list[str] = []
        self.wakes: list[Callable[[], None]] = []
        self._stored: dict[str, Stored] = {}
        self._lock = threading.Lock()

    def open(self, key: str) -> MemoryReading:
        return MemoryReading(self._found(key))

    def begin(self, key: str) -> MemoryWriting:
        buckets.split_key(key)
        return MemoryWriting(self, key)

    def delete(self, key: str) -> None:
        with self._lock:
            self._found(key)
            del self._stored[key]
            self.changed.append(key)
        self._wake()

    def unfit(self) -> tuple[buckets.Unfit, ...]:
        return ()

    def stat(self, key: str) -> buckets.Object:
        return self._found(key).object

    def list(self, prefix: str = "", after: str = "", limit: int = buckets.PAGE) -> list[buckets.Object]:
        with self._lock:
            keys = sorted(key for key in self._stored if key.startswith(prefix) and key > after)
            return [self._stored[key].object for key in keys[: max(limit, 0)]]

    def look(self, key: str, sign: buckets.Sign) -> buckets.Found:
        stored = self._found(key)
        return buckets.Found(stored.object, writer=stored.writer)

    def watch(self, wake: Callable[[], None]) -> MemoryFeed:
        return MemoryFeed(self, wake)

    def sweep(self) -> int:
        return 0

    def store(self, key: str, data: bytes, writer: buckets.Writer | None) -> buckets.Object:
        """Put an object into place."""
        with self._lock:
            self.changed.append(key)
            made = buckets.Object(key, len(data), time.time_ns(), f"v{len(self.changed)}")
            self._stored[key] = Stored(made, data, writer)
        self._wake()
        return made

    def _found(self, key: str) -> Stored:
        buckets.split_key(key)
        try:
            return self._stored[key]
        except KeyError:
            raise errors.NotFound(f"no object {key!r} in bucket {self.name!r}") from None

    def _wake(self) -> None:
        for wake in self.wakes:
            wake()


class MemoryReading:
    """A `buckets.Reading`."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def object(self) -> buckets.Object:
        return self._stored.object

    def read(self, offset: int, size: int) -> bytes:
        return self._stored.data[offset : offset + size]

    def descriptor(self) -> None:
        return None

    def close(self) -> None:
        pass


class MemoryWriting:
    """A `buckets.Writing`."""

    def __init__(self, bucket: MemoryBucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data

    def descriptor(self) -> None:
        return None

    def commit(self, writer: buckets.Writer | None = None) -> buckets.Object:
        return self._bucket.store(self._key, bytes(self._data), writer)

    def close(self) -> None:
        pass


class MemoryFeed:
    """A `buckets.Feed`."""

    def __init__(self, bucket: MemoryBucket, wake: Callable[[], None]) -> None:
        self._bucket = bucket
        self._wake = wake
        bucket.wakes.append(wake)

    def since(self, cursor: str) -> buckets.Changes:
        changed = self._bucket.changed
        if not cursor.isdigit() or int(cursor) > len(changed):
            return buckets.Changes(str(len(changed)), prefixes=frozenset({buckets.EVERYTHING}))
        keys = changed[int(cursor) :][:MOST_TOLD]
        return buckets.Changes(str(int(cursor) + len(keys)), dict.fromkeys(keys, buckets.Sign.PUBLISHED))

    def close(self) -> None:
        if self._wake in self._bucket.wakes:
            self._bucket.wakes.remove(self._wake)
