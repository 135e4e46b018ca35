"""The mark by which a platform knows its own chains again when they come back to it from outside; pure functions.

``<depth>.<parent id>.<root id>.<hex>``; the hex is the HMAC-SHA256 of what stands before it. A mark that carries no
right signature says nothing: it is a stranger's, and the call that brings it begins a chain of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from faas.core.calls import calling

DEEPEST = 9_999
"""What a depth from outside counts as when it is larger: its chain ends."""

_MARK = re.compile(r"([0-9]{1,4})\.([0-9a-f-]{36})\.([0-9a-f-]{36})\.([0-9a-f]{64})").fullmatch
_DIGITS = re.compile(rb"[0-9]+").fullmatch
_MOST_DIGITS = 4


def mark(secret: bytes, chain: calling.Chain) -> str:
    """What says of a request that it stands there in a chain. A chain that begins with it has no mark."""
    said = f"{min(chain.depth, DEEPEST)}.{chain.parent_id}.{chain.root_id}"
    return f"{said}.{_signature(secret, said)}"


def read(secret: bytes, given: str) -> calling.Chain | None:
    """The place in a chain that a mark signed with this secret says; None for any other text."""
    found = _MARK(given)
    # In a time that does not tell how much of a guess was right.
    if found is None or not hmac.compare_digest(_signature(secret, given.rpartition(".")[0]), found[4]):
        return None
    return calling.Chain(int(found[1]), found[2], found[3])


def depth_of(written: bytes) -> int | None:
    """A depth that somebody wrote in decimal; None for what is no such number. A larger one is as deep as can be."""
    if _DIGITS(written) is None:
        return None
    # Python refuses to read thousands of digits, and takes long for hundreds.
    return int(written) if len(written) <= _MOST_DIGITS else DEEPEST


def _signature(secret: bytes, said: str) -> str:
    # The words before it keep what the secret signs elsewhere from passing here.
    return hmac.new(secret, b"faas chain\0" + said.encode(), hashlib.sha256).hexdigest()
