"""Moments and spans of time as people write them in queries: ``30d``, ``90s``, ``2026-01-31``, or milliseconds."""

from __future__ import annotations

import datetime

from faas.core import durations, errors

LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def span_ms(text: str) -> int:
    """A length of time: ``90s``, ``1h``, or whole milliseconds. Raises `errors.BadRequest`."""
    found = (
        int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LATEST_MS)) else durations.age_ms(text)
    )
    if found is None or not 0 < found <= LATEST_MS:
        raise errors.BadRequest(f"{text!r} is no length of time: write 90s, 10m, 1h or 7d")
    return found


def moment_ms(text: str, now_ms: int) -> int:
    """Unix milliseconds of an age (``30d``), a date or moment in ISO 8601 (UTC unless it says otherwise), or of such.

    Raises `errors.BadRequest`.
    """
    if text.isascii() and text.isdigit() and len(text) <= len(str(LATEST_MS)):
        found = int(text)
    else:
        age = durations.age_ms(text)
        found = _iso_ms(text) if age is None else max(now_ms - age, 0)
    if not 0 <= found <= LATEST_MS:
        raise errors.BadRequest(f"{text!r} is no time: write an age (90s, 10m, 7d) or a moment (2026-01-31T12:00)")
    return found


def _iso_ms(text: str) -> int:
    try:
        found = datetime.datetime.fromisoformat(text)
        zoned = found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
        return int(zoned.timestamp() * 1000)
    except (ValueError, OverflowError):
        return -1
