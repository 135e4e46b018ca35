"""Durations as people write them: ``90s``, ``10m``, ``1.5h``."""

from __future__ import annotations

import re

from faas.core import errors
from faas.core.http import headers

LONGEST_DELAY_MS = 31 * 86_400_000

_PATTERN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(ms|s|m|min|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def age_ms(text: str) -> int | None:
    """An age in whole milliseconds; None when it is written as none is."""
    match = _PATTERN.fullmatch(text.strip())
    return round(float(match[1]) * _UNIT_MS[match[2]]) if match else None


def delay_ms(text: str) -> int:
    """A delay in whole milliseconds, 31 days at most. Raises `errors.BadRequest`."""
    match = _PATTERN.fullmatch(text.strip())
    found = round(float(match[1]) * _UNIT_MS[match[2]]) if match else -1
    if not 0 <= found <= LONGEST_DELAY_MS:
        raise errors.BadRequest(f"{headers.DELAY}: found {text!r}, expected a duration such as 90s or 10m, 31d at most")
    return found


def written(ms: int) -> str:
    """A duration in the largest unit in which it is whole: ``90s``, ``2h``, ``0s``."""
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if ms % _UNIT_MS[unit] == 0) if ms else "s"
    return f"{ms // _UNIT_MS[unit]}{unit}"
