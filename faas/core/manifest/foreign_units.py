"""How an amount is written here that was written as other tools take it: hints for faults of a manifest; pure."""

from __future__ import annotations

import re
from decimal import Decimal

from faas.core import durations

_EACH = {"hourly": "h", "daily": "d", "weekly": "w"}
_LONG = (
    (r"ms|msecs?|millis|milliseconds?", "ms"),
    (r"s|secs?|seconds?", "s"),
    (r"m|mins?|minutes?", "m"),
    (r"h|hrs?|hours?", "h"),
    (r"d|days?", "d"),
    (r"w|wks?|weeks?", "w"),
)


def duration(text: str) -> str:
    """What to write in place of a duration like ``@every 5m``, ``rate(5 minutes)``, ``PT5M``, ``1h30m``, ``0:05:00``.

    "" when it cannot be told.
    """
    # Five or six words, none of them a long one: "every 5 minutes and 3 seconds" is no cron line.
    if re.fullmatch(r"\S+(?:\s+\S+){4,5}", text.strip()) and not re.search(r"[a-z]{4}", text):
        return f'a cron line stands under `cron`: cron: "{text.strip()}"'
    whole_ms = _iso_ms(text) or _clock_ms(text) or _words_ms(_EACH.get(text.strip().lstrip("@").lower(), text))
    if not whole_ms:
        return ""
    return f"write {durations.written(whole_ms)}"


def size(text: str) -> str:
    """What to write in place of a size like ``512M``, ``512Mi``, ``0.5gb`` or ``512 megabytes``; "" when unknown."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([kmg])(i?)(?:b|\w*bytes?)?", text.strip(), re.IGNORECASE)
    return f"write {found[1]}{found[2].upper()}{found[3].lower()}B" if found else ""


def _iso_ms(text: str) -> int:
    pattern = r"P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?"
    found = re.fullmatch(pattern, text.strip(), re.IGNORECASE)
    if found is None:
        return 0
    return sum(int(each or 0) * durations.UNIT_MS[unit] for each, unit in zip(found.groups(), "wdhms", strict=True))


def _clock_ms(text: str) -> int:
    found = re.fullmatch(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})", text.strip())
    if found is None:
        return 0
    return sum(int(each or 0) * durations.UNIT_MS[unit] for each, unit in zip(found.groups(), "hms", strict=True))


def _words_ms(text: str) -> int:
    bare = re.sub(r"^\s*@?every\s+|^\s*rate\(|\)\s*$", "", text.lower())
    # A unit alone is one of it: every hour.
    bare = f"1{bare}" if bare.isalpha() and _ms(bare) else bare
    parts = re.findall(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([a-z]+)", bare)
    if not parts or re.sub(r"[0-9.]+\s*[a-z]+|[\s,]|and", "", bare):
        return 0
    summed = sum((Decimal(number) * _ms(word) for number, word in parts), Decimal(0))
    return int(summed) if all(_ms(word) for _, word in parts) and summed == int(summed) else 0


def _ms(word: str) -> int:
    return next((durations.UNIT_MS[unit] for pattern, unit in _LONG if re.fullmatch(pattern, word)), 0)
