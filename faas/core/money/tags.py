"""The tags of a function, as one text by which sums are kept: ``env=prod,team=shop``. Pure functions.

Keys and values hold neither ``,`` nor ``=`` (see the manifest), so the text says what it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping

KEY = r"[A-Za-z][A-Za-z0-9_.\-]{0,62}"
VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9 _.:/@+\-]{0,126}[A-Za-z0-9])?"
"""Neither begins with what a spreadsheet takes for a formula."""


def text(tags: Mapping[str, str]) -> str:
    """All tags in the order of their keys; empty for none."""
    return ",".join(f"{key}={value}" for key, value in sorted(tags.items()))


def value(of: str, key: str) -> str:
    """The value of one tag in such a text; empty where there is no such tag."""
    for part in of.split(","):
        name, _, found = part.partition("=")
        if name == key:
            return found
    return ""
