"""Invocation ids: UUIDv7 (RFC 9562, section 5.7), so that ids sort by the moment they were made."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A fresh UUIDv7 as text: 48 bits of Unix milliseconds, then 74 random bits."""
    return _uuid7(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big"))


def derived_id(at_ms: int, *parts: str) -> str:
    """The UUIDv7-shaped id that the same moment and parts always give (a timer's due time, an object's version)."""
    name = "\x1f".join(parts)
    return _uuid7(at_ms, uuid.uuid5(uuid.NAMESPACE_URL, f"{at_ms}\x1f{name}").int & (1 << 80) - 1)


def _uuid7(at_ms: int, random_bits: int) -> str:
    value = (at_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
