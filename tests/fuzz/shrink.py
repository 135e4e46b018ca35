"""Making a failing input small: parts are left out for as long as it fails in the same place."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

_MOST_TRIES = 400
_WITHIN_S = 20.0


async def smallest(given: bytes, fails: Callable[[bytes], Awaitable[bool]]) -> bytes:
    """A part of ``given`` that fails too, from which no part that was tried can be left out."""
    tries, size, until_s = 0, len(given) // 2, time.monotonic() + _WITHIN_S
    while size and tries < _MOST_TRIES:
        at, was = 0, len(given)
        while at < len(given) and tries < _MOST_TRIES:
            if time.monotonic() > until_s:
                return given
            shorter = given[:at] + given[at + size :]
            tries += 1
            if await fails(shorter):
                given = shorter
            else:
                at += size
        size = size // 2 or int(len(given) < was)
    return given
