"""What somebody may have meant by a word that nobody knows. Pure functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the closest of the known words, or nothing."""
    spelt = {each.lower(): each for each in known}
    # Cut, as it takes the product of both lengths.
    close = difflib.get_close_matches(word[:100].lower(), list(spelt), n=1, cutoff=0.6)
    return f"did you mean {spelt[close[0]]}?" if close else ""
