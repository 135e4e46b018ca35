"""Who a request comes from, as far as its header fields tell: what an answer that is kept must not be given across.

A gateway does not check who calls; functions do. So it cannot know by which field they do, and takes every one that
could be it. A field too many costs a caller no more than an answer that is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from faas.core.http import addresses

_OF_THIS_MACHINE = frozenset({"", "127.0.0.1", "::1", "::ffff:127.0.0.1"})

_TELLS = re.compile(
    r"auth|cookie|token|api-?key|access-?key|secret|password|session|credential|signature|cert|jwt|bearer|oidc|saml"
    r"|(?:^|-)(?:user|uid|account|tenant|customer|client|principal|subject|identity|org|role|from)(?:-?(?:id|name))?$"
)
_TELLS_NOTHING = frozenset({"idempotency-key"})


def of_address(address: str) -> str | None:
    """By what the share of a client is counted: its address, of IPv6 the network that one customer has whole.

    None for this machine itself: what comes from there is its owner's, or comes through a proxy from many callers.
    """
    if address in _OF_THIS_MACHINE:
        return None
    return addresses.customer(address)


def of_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """What the fields of a request (names in lower case) say of its caller; empty when they say nothing."""
    telling = [f"{name}\0{value}" for name, value in fields if tells_who(name)]
    return "\0\0".join(sorted(telling)).encode(errors="surrogateescape")


def tells_who(name: str) -> bool:
    """Whether a field of that name (in lower case) may say who calls."""
    return _TELLS.search(name) is not None and name not in _TELLS_NOTHING
