"""Durations as people write them: ``90s``, ``10m``, ``1.5h``. Whatever reads or writes one has its units from here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from faas.core import errors
from faas.core.http import headers

UNIT_MS: Mapping[str, int] = {
    "ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
}  # fmt: skip
LONGEST_DELAY_MS = 31 * UNIT_MS["d"]

_PATTERN = re.compile(rf"\s*([0-9]{{1,12}}(?:\.[0-9]{{1,6}})?)\s*({'|'.join(UNIT_MS)})\s*")
# Not all of them: `min` is `m`, and weeks are read but not written, since bounds are told in days.
_WRITTEN = ("d", "h", "m", "s", "ms")


def age_ms(text: str) -> int | None:
    """An age in whole milliseconds; None when it is written as none is."""
    match = _PATTERN.fullmatch(text)
    return round(float(match[1]) * UNIT_MS[match[2]]) if match else None


def delay_ms(text: str) -> int:
    """A delay in whole milliseconds, 31 days at most. Raises `errors.BadRequest`."""
    found = age_ms(text)
    if found is None or found > LONGEST_DELAY_MS:
        raise errors.BadRequest(f"{headers.DELAY}: found {text!r}, expected a duration such as 90s or 10m, 31d at most")
    return found


def written(ms: int) -> str:
    """A duration in the largest unit in which it is whole: ``90s``, ``2h``, ``0s``."""
    unit = next(unit for unit in _WRITTEN if ms % UNIT_MS[unit] == 0) if ms else "s"
    return f"{ms // UNIT_MS[unit]}{unit}"
