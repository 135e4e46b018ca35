"""What an agent says, frame by frame, as the process before it passes it on."""

from __future__ import annotations

import json
import struct

PREFIX = struct.Struct(">II")
RESULT_KIND = 2
MAX_HEADER_BYTES = 1 << 16
_ANSWERS = ("loaded", "load_error", "error")


class Said:
    """Finds where frames end and what may be said: one answer to each load and invoke, and requests before it.

    Whatever user code writes to the agent's connection when nothing is asked would be taken for a part of the next
    answer. So it is not passed on.
    """

    def __init__(self) -> None:
        self.is_asked = False
        """Whether an answer is awaited."""
        self._header = bytearray()
        self._left = 0

    @property
    def is_whole(self) -> bool:
        """Whether no frame is on its way."""
        return not self._left and not self._header

    def pass_by(self, data: bytes) -> int:
        """How many of these bytes, which come next, may be passed on: all, or those up to an answer's end."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            elif self.is_whole and not self.is_asked:
                break
            else:
                step = min(_missing(self._header), len(data) - at)
                self._header += data[at : at + step]
                if not _missing(self._header):
                    self._on_header()
            at += step
        return at

    def _on_header(self) -> None:
        header_bytes, self._left = PREFIX.unpack_from(self._header)
        if header_bytes > MAX_HEADER_BYTES:
            self._left += header_bytes  # whoever judges frames will not take it
        elif _is_answer(bytes(self._header[PREFIX.size :])):
            self.is_asked = False
        self._header.clear()


def _missing(header: bytearray) -> int:
    """How many bytes of a prefix, or of the header that it announces, are still to come."""
    if len(header) < PREFIX.size:
        return PREFIX.size - len(header)
    size = int(PREFIX.unpack_from(header)[0])
    return PREFIX.size + size - len(header) if size <= MAX_HEADER_BYTES else 0


def _is_answer(header: bytes) -> bool:
    if header[:1] != b"{":
        return header[:1] == bytes((RESULT_KIND,))
    try:
        return json.loads(header).get("t") in _ANSWERS
    except (ValueError, RecursionError):
        return False
