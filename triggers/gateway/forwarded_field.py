"""The header field ``Forwarded`` (RFC 7239): what each proxy on the way said of who asked it. Pure functions."""

from __future__ import annotations

import re

_SIGNS = r"!#$%&'*+.^_`|~0-9A-Za-z-"
# Many proxies leave out the quotes that an address with a port needs.
_VALUE = rf'"(?:[^"\\]|\\.)*"|[:\[\]{_SIGNS}]*'
_PAIR = re.compile(rf"[ \t]*(?:([{_SIGNS}]+)=({_VALUE})[ \t]*)?(?:;|\Z)").match
_ESCAPED = re.compile(r"\\(.)")

Said = dict[str, str]
"""What one proxy said: ``for``, ``by``, ``host`` and ``proto``, as far as it did."""


def read(value: str) -> list[Said]:
    """What the proxies said, that of the nearest last, back to the first that cannot be read."""
    found: list[Said] = []
    # From behind: what a client sent stands before what the proxies added, and may be a quote that it left open. A
    # comma within quotes cannot be told from that, and is in nothing that says who asked.
    for element in reversed(value.split(",")):
        said = _element(element)
        if said is None:
            break
        if said:
            found.append(said)
    return found[::-1]


def _element(text: str) -> Said | None:
    said: Said = {}
    at = 0
    while at < len(text):
        pair = _PAIR(text, at)
        if pair is None or (pair[1] or "").lower() in said:
            return None
        if pair[1] is not None:
            said[pair[1].lower()] = _plain(pair[2])
        at = pair.end()
    return said


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
