"""Invocation ids: UUIDv7 (RFC 9562, section 5.7), so that ids sort by the moment they were made."""

from __future__ import annotations

import os
import re
import uuid

from faas.core import clock

LENGTH = 36
"""Characters of an id."""

_DRAWN_BYTES = 8_192
_DIGITS = 19
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]*")
# Two bits of this digit are given, so that four digits are left, each as likely as the others.
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def new_id() -> str:
    """A fresh UUIDv7 as text: 48 bits of Unix milliseconds, then 74 random bits."""
    return Ids(_DIGITS // 2 + 1).at(clock.now_ms())


def derived_id(at_ms: int, *parts: str) -> str:
    """The UUIDv7-shaped id that the same moment and parts always give (a timer's due time, an object's version)."""
    name = "\x1f".join(parts)
    # The separator makes two of ("a", "bc") and ("ab", "c").
    return _uuid7(at_ms, uuid.uuid5(uuid.NAMESPACE_URL, f"{at_ms}\x1f{name}").int & (1 << 80) - 1)


def is_id(text: str) -> bool:
    """Whether a text, which may come from anybody, has the form of an id."""
    return _ID.fullmatch(text) is not None


def is_beginning(text: str) -> bool:
    """Whether a text is an id, or as much of one as lists show."""
    return len(text) <= LENGTH and _BEGINNING.fullmatch(text) is not None


class Ids:
    """Fresh ids at a fraction of what `new_id` costs: random bytes are drawn for many of them at once.

    A process that forks must not use one from before the fork: parent and child would make the same ids.
    """

    def __init__(self, drawn_bytes: int = _DRAWN_BYTES) -> None:
        self._drawn_bytes = drawn_bytes
        self._digits = ""
        self._used = 0
        self._begin_ms = -1
        self._begin = ""

    def at(self, now_ms: int) -> str:
        """A fresh UUIDv7 of this moment."""
        if now_ms != self._begin_ms:
            self._begin_ms, moment = now_ms, f"{now_ms:012x}"
            self._begin = f"{moment[:8]}-{moment[8:]}-7"
        at = self._used
        if at + _DIGITS > len(self._digits):
            self._digits = os.urandom(self._drawn_bytes).hex()
            at = 0
        self._used = at + _DIGITS
        digits = self._digits
        variant = _VARIANT[digits[at]]
        return f"{self._begin}{digits[at + 1 : at + 4]}-{variant}{digits[at + 4 : at + 7]}-{digits[at + 7 : at + 19]}"


def _uuid7(at_ms: int, random_bits: int) -> str:
    value = (at_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
