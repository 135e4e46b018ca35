"""What has come from a client and has not been taken: heads and bodies of requests are cut out of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from faas.core import errors
from triggers.gateway import limits, request

_BREAK = b"\r\n"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?").fullmatch
_LINE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch
_STEPS_AT_ONCE = 1_000
"""Of a body in chunks of a few bytes each: two steps a chunk, of a microsecond or two."""


class Inbox:
    """The bytes that one client has sent, up to the next request that is not whole."""

    __slots__ = ("_bytes", "_chunks", "_is_looked_at")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._chunks: Chunks | None = None
        self._is_looked_at = False

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def held_bytes(self) -> int:
        """What is kept here, of a body that comes in chunks too."""
        return len(self._bytes) + (len(self._chunks.body) if self._chunks is not None else 0)

    @property
    def is_behind(self) -> bool:
        """Whether more has come of a body than was taken of it: `take_body` is to be called again, after others."""
        return self._chunks is not None and self._chunks.is_behind

    def add(self, data: bytes) -> None:
        """Take bytes that have come."""
        self._bytes += data

    def take_head(self) -> bytes | None:
        """The next head with the empty line that ends it; None when it has not come whole.

        Raises `errors.BadRequest`, `errors.TargetTooLong` or `errors.HeadTooLarge` for what cannot become one.
        """
        if self._bytes.startswith((b"\r", b"\n")):  # empty lines before a request are to be ignored
            self._bytes = self._bytes.lstrip(b"\r\n")
        end = self._bytes.find(request.END)
        if end < 0:
            self._look_at_begin()
            return None
        self._is_looked_at = False
        head = self._cut(end + len(request.END))
        request.refuse_what_is_too_long(head)
        return head

    def _look_at_begin(self) -> None:
        request.refuse_what_is_too_long(self._bytes)
        # Once: what comes byte by byte is not to be read over and over.
        if self._bytes and not self._is_looked_at:
            self._is_looked_at = True
            request.refuse_what_is_no_head(bytes(self._bytes))

    def has_body(self, head: request.Head) -> bool:
        """Whether the body of a request is known to be here, whole."""
        return not head.is_chunked and len(self._bytes) >= head.length

    def take_body(self, head: request.Head, most_bytes: int) -> bytes | None:
        """The body that belongs to the head that was taken; None when it has not come whole, or the inbox `is_behind`.

        Raises `errors.BadRequest`, and `OverflowError` when chunks amount to more than so much.
        """
        if not head.is_chunked:
            return self._cut(head.length) if len(self._bytes) >= head.length else None
        chunks = self._chunks = self._chunks or Chunks()
        chunks.take_from(self._bytes)
        if len(chunks.body) > most_bytes:
            raise OverflowError
        if not chunks.is_whole:
            return None
        self._chunks = None
        return bytes(chunks.body)

    def _cut(self, size: int) -> bytes:
        cut = bytes(self._bytes[:size])
        del self._bytes[:size]
        return cut


class Chunks:
    """A body that comes in chunks: ``body`` holds what has come of it. Extensions and trailers are read and dropped."""

    __slots__ = ("_dropped_bytes", "_left", "_take", "body", "is_behind", "is_whole")

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_whole = False
        self.is_behind = False
        """More has come than was taken at once."""
        self._left = 0
        """What is to come of the present chunk."""
        self._dropped_bytes = 0
        self._take: Callable[[bytearray], bool] = self._take_size

    def take_from(self, data: bytearray) -> None:
        """Take what belongs to the body, or a part of it. Raises `errors.BadRequest`."""
        self.is_behind = False
        for _ in range(_STEPS_AT_ONCE):
            if self.is_whole or not self._take(data):
                return
        self.is_behind = not self.is_whole

    def _take_size(self, data: bytearray) -> bool:
        line = _cut_line(data)
        if line is None:
            return False
        found = _SIZE(line)
        if found is None:
            raise _not_chunked("expected the size of a chunk")
        self._left = int(found[1], 16)
        self._take = self._take_data if self._left else self._take_trailer
        return True

    def _take_data(self, data: bytearray) -> bool:
        piece = data[: self._left]
        self.body += piece
        self._left -= len(piece)
        del data[: len(piece)]
        if self._left or len(data) < len(_BREAK):
            return False
        if not data.startswith(_BREAK):
            raise _not_chunked("a chunk is longer than its size says")
        del data[: len(_BREAK)]
        self._take = self._take_size
        return True

    def _take_trailer(self, data: bytearray) -> bool:
        line = _cut_line(data)
        if line is None:
            return False
        self._dropped_bytes += len(line)
        if _LINE(line) is None or self._dropped_bytes > limits.HEAD_BYTES:
            raise _not_chunked("its trailers are malformed, or too long")
        self.is_whole = not line
        return True


def _cut_line(data: bytearray) -> bytes | None:
    end = data.find(_BREAK, 0, limits.LINE_BYTES)
    if end < 0:
        if len(data) >= limits.LINE_BYTES or b"\n" in data:
            raise _not_chunked("a line in it is too long, or does not end as it must")
        return None
    line = bytes(data[:end])
    del data[: end + len(_BREAK)]
    return line


def _not_chunked(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"the body does not come in chunks as its header says: {why}")
