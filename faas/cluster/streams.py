"""Replies of redis-py in one shape, whichever version of the protocol was spoken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def entries(reply: Any) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """Every (entry id, fields) of an XREAD or XREADGROUP reply: lists in RESP2, an object of lists in RESP3."""
    pairs = reply.items() if isinstance(reply, dict) else reply or ()
    for _, found in pairs:
        nested = bool(found) and isinstance(found[0], list)
        yield from found[0] if nested else found


def text(value: bytes | str) -> str:
    """A member or field as text."""
    return value if isinstance(value, str) else value.decode()
