"""The port of buckets: what the platform asks of whatever holds a bucket's objects.

Everything here blocks, so async code calls it in a thread. A `Bucket` is used by several threads at once; a `Reading`,
a `Writing` and a `Feed` by one at a time. Each method says which errors it may raise; besides, all of them may raise
`errors.Unavailable`: the disk refuses, or the store is away.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from faas.buckets import objects
from faas.core import model
from faas.core.calls import tracing

PAGE = 1_000
"""Objects of one page, where nobody asks for another number."""

LARGEST_PAGE = 10_000
"""Objects of the largest page that is given over HTTP."""

EVERYTHING = ""
"""The prefix of all keys."""


class Sign(enum.IntEnum):
    """What was seen of an object, from the least to the most that it says about being complete."""

    FOUND = 0
    """It is there: listed, created, or moved in with its folder. Perhaps somebody is writing it, or it has gone."""
    CLOSED = 1
    """Somebody closed it after writing, or moved it into place."""
    PUBLISHED = 2
    """The platform itself put it into place, whole."""


class Writer(msgspec.Struct, frozen=True):
    """The invocation that writes an object: how deep in a chain it is, its id, and the first one's of the chain.

    The ids are empty where they are not known. ``trace`` is for what follows from the object.
    """

    depth: int
    invocation_id: str = ""
    root_id: str = ""
    trace: model.TraceContext | None = None

    @classmethod
    def of(cls, cause: model.Invocation | None) -> Writer:
        """An invocation as the writer of an object; None is somebody who is none."""
        return cls(0) if cause is None else cls(cause.depth, cause.id, cause.chain_id, tracing.onward(cause))


class Found(msgspec.Struct, frozen=True):
    """An object as one look found it. ``writer`` is known only of what the platform published and nobody changed."""

    object: objects.Object
    is_complete: bool = True
    writer: Writer | None = None


class Changes(msgspec.Struct, frozen=True):
    """What has changed since a cursor, and the cursor that goes on from there.

    ``signs`` are keys that were seen (also when the object has gone). Below each of ``prefixes`` anything may have
    changed: it has to be listed. `EVERYTHING` among them says that the bucket has to be compared as a whole. ``gone``
    are those of the keys and prefixes that were seen to go, whether or not they are back by now.
    """

    cursor: str
    signs: Mapping[str, Sign] = msgspec.field(default_factory=dict)
    prefixes: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


class Unfit(msgspec.Struct, frozen=True):
    """Something in a bucket that is no object and that somebody may have meant to be one, and why it is none.

    ``name`` is what its key would be; bytes that are no text are lone surrogates in it, and a slash ends a folder's.
    """

    name: str
    why: str


class Reading(Protocol):
    """An object that is open for reading, as it was when it was opened."""

    def object(self) -> objects.Object:
        """What it is now: who replaces the object leaves this one as it is; who writes into a file does not."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset`` on; none past the end."""
        ...

    def descriptor(self) -> int | None:
        """A file descriptor from which the object can be read; None where objects are no files. It ends with this."""
        ...

    def close(self) -> None:
        """Let it go. Harmless when done twice."""
        ...


class Writing(Protocol):
    """An object on its way in. Nobody sees it before `commit`, and without one it leaves nothing."""

    def write(self, data: bytes) -> None:
        """Add to its end. Raises `errors.TooLarge`."""
        ...

    def descriptor(self) -> int | None:
        """A file descriptor through which others may write the object; None where objects are no files.

        It ends with this. What they write through a copy of it after `commit` is not the object.
        """
        ...

    def commit(self, writer: Writer | None = None) -> objects.Object:
        """Publish what was written, in place of any other of its key; once.

        It is durable before it is seen, and seen whole. Raises `errors.Conflict` where a key cannot be both an object
        and the start of others, and `errors.TooLarge`.
        """
        ...

    def close(self) -> None:
        """Let it go; what is not committed is discarded. Harmless when done twice."""
        ...


class Feed(Protocol):
    """What changes in one bucket while somebody listens. At least once: a sign may be wrong, or come again."""

    def since(self, cursor: str) -> Changes:
        """What has changed since ``cursor``, in portions of bounded size; nothing when all has been told.

        Each call listens for what comes after it before it returns, so whoever compares the bucket then misses nothing.
        For a cursor that is not known (the first is ""), and when signs were lost, the answer is `EVERYTHING`. Asked
        again with the cursor before, it tells the same again: who takes up the new one says that it has dealt with it.
        """
        ...

    def close(self) -> None:
        """Listen no more. May be called while `since` runs in another thread, and waits for it."""
        ...


class Bucket(Protocol):
    """The objects of one bucket. Keys are those of `faas.buckets.keys`; any other raises `errors.BadRequest`."""

    @property
    def name(self) -> str:
        """What it is called in manifests and messages."""
        ...

    def open(self, key: str) -> Reading:
        """Open an object; the caller closes it. Raises `errors.BadRequest` and `errors.NotFound`."""
        ...

    def begin(self, key: str) -> Writing:
        """Begin to write an object; the caller closes it. Raises `errors.BadRequest`."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object. Raises `errors.BadRequest` and `errors.NotFound`."""
        ...

    def stat(self, key: str) -> objects.Object:
        """Size, time and version of an object. Raises `errors.BadRequest` and `errors.NotFound`."""
        ...

    def list(self, prefix: str = EVERYTHING, after: str = "", limit: int = PAGE) -> list[objects.Object]:
        """At most ``limit`` objects whose key starts with ``prefix`` and sorts after ``after``, in the order of keys.

        Each page shows what is there when it is asked for. Fewer than ``limit`` says that there are no more.
        """
        ...

    def look(self, key: str, sign: Sign) -> Found:
        """Whether an object that was noticed by ``sign`` is complete, and who wrote it.

        Raises `errors.BadRequest` and `errors.NotFound`.
        """
        ...

    def watch(self, wake: Callable[[], None]) -> Feed:
        """Hear of changes; the caller closes the feed.

        ``wake`` is called, from any thread, when there is something to tell; who is not woken asks all the same once
        a second. Nothing is watched before the first `Feed.since`.
        """
        ...

    def unfit(self) -> Iterable[Unfit]:
        """Whatever lies where objects lie and is none, but for names that start with a dot, which nobody means."""
        ...

    def sweep(self) -> int:
        """Remove what processes that were killed as they published an object left; how many files or uploads."""
        ...


def put(bucket: Bucket, key: str, data: bytes, writer: Writer | None = None) -> objects.Object:
    """Write an object in one piece. Raises what `Bucket.begin` and `Writing` raise."""
    writing = bucket.begin(key)
    try:
        writing.write(data)
        return writing.commit(writer)
    finally:
        writing.close()
