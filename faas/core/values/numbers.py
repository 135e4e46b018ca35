"""Numbers that come as text from somewhere else: from Redis, a URL, a name. Pure."""

from __future__ import annotations

import re

MOST_DIGITS = 18
"""As many as fit 64 bits with a sign, whatever they are; a column, a clock and a counter hold no more."""

_WHOLE = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}")


def whole(text: str) -> int | None:
    """The whole number that a text is, in digits of ASCII; None for any other text, also for one of too many digits."""
    return int(text) if _WHOLE.fullmatch(text) else None
