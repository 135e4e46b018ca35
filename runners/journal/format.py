"""The bytes of a journal: entries in segments, and what they say.

A journal is a folder with its `LOCK` file and its segments. A segment is a file that is named after the position in the
journal at which it starts; a position is a number of bytes and only grows. Its size is taken from the disk when it is
made, so that an entry never lacks room halfway. An entry is its length and its checksum, both little-endian 32-bit
numbers, and then a byte that says its kind and its text in msgpack:

====  ==================================================  ==============================
kind  text                                                says
====  ==================================================  ==============================
`b`   `Began`                                             a call was given to a slot
`e`   `model.Record`                                      that call has ended, with this
====  ==================================================  ==============================

What follows the last whole entry is zeros, or the torn end of a write: it counts as nothing. Each segment begins with
the calls that were running when it was begun, so that the segments before the one that is being shipped can go.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from faas.core import model

PREFIX = struct.Struct("<II")
BEGAN = b"b"
ENDED = b"e"
LOCK = "lock"
GONE = ".gone"
"""Ends the name of a folder whose journal is shipped to its end."""

MAKING = "."
"""Begins the name of a folder that is about to become a journal."""

_DIGITS = 20
_BEGAN_KIND, _ENDED_KIND = BEGAN[0], ENDED[0]


class Began(msgspec.Struct, frozen=True, array_like=True):
    """A hand-off as it began: what the record of a lost attempt needs."""

    id: str
    function: str
    revision: int
    trigger: str
    accepted_at_ms: int
    depth: int = 0
    parent_id: str | None = None
    root_id: str | None = None
    trace: model.TraceContext | None = None

    def invocation(self) -> model.Invocation:
        """The invocation without its event."""
        return model.Invocation(
            id=self.id,
            function=self.function,
            revision=self.revision,
            trigger=self.trigger,
            mode=model.Mode.SYNC,
            event=b"",
            accepted_at_ms=self.accepted_at_ms,
            depth=self.depth,
            parent_id=self.parent_id,
            root_id=self.root_id,
            trace=self.trace,
        )


class JournalEntry(msgspec.Struct, frozen=True):
    """One entry as it was read: the position behind it, its kind and its text."""

    end: int
    kind: int
    text: bytes

    @property
    def is_end(self) -> bool:
        """Whether it says that a call has ended."""
        return self.kind == _ENDED_KIND


_pack = PREFIX.pack
_crc = zlib.crc32
_pack_text = msgspec.msgpack.Encoder().encode
_decode_began = msgspec.msgpack.Decoder(Began).decode
_decode_record = msgspec.msgpack.Decoder(model.Record).decode


def entry(kind: bytes, text: bytes) -> bytes:
    """One entry."""
    payload = kind + text
    return _pack(len(payload), _crc(payload)) + payload


def began(invocation: model.Invocation) -> bytes:
    """The entry of a hand-off that begins."""
    # The fields of a `Began`, which is an array in msgpack: to make one of it first takes longer than to pack it.
    one = (
        invocation.id,
        invocation.function,
        invocation.revision,
        invocation.trigger,
        invocation.accepted_at_ms,
        invocation.depth,
        invocation.parent_id,
        invocation.root_id,
        invocation.trace,
    )
    return entry(BEGAN, _pack_text(one))


def read_began(text: bytes) -> Began:
    """The text of an entry of kind `b`. Raises `msgspec.DecodeError`."""
    return _decode_began(text)


def read_record(text: bytes) -> model.Record:
    """The text of an entry of kind `e`. Raises `msgspec.DecodeError`."""
    return _decode_record(text)


def entries(segment: bytes, start: int) -> Iterator[JournalEntry]:
    """The whole entries of a segment that starts at a position, up to the first that is torn or not there."""
    at = 0
    # An entry has a kind at least, so one that would end with its prefix is none.
    while at + PREFIX.size < len(segment):
        length, checksum = PREFIX.unpack_from(segment, at)
        begin = at + PREFIX.size
        payload = segment[begin : begin + length]
        if not length or len(payload) < length or _crc(payload) != checksum:
            return
        at = begin + length
        # Of another kind is what a later version wrote: it is whole, and passed over.
        if payload[0] in (_BEGAN_KIND, _ENDED_KIND):
            yield JournalEntry(start + at, payload[0], payload[1:])


def segment_name(start: int) -> str:
    """The file name of the segment that starts at a position."""
    return f"{start:0{_DIGITS}d}"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments of a journal with their starts, in order. Raises `OSError`."""
    found = [path for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()]
    return sorted((int(path.name), path) for path in found)
