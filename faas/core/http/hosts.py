"""The hosts by which a platform is reached, against pages of others that lead a browser to it; pure functions."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Set as AbstractSet

from faas.core import errors

_NONE = frozenset({"localhost"})
"""What stands for an empty list where one name at least is needed."""


def of(listed: str) -> frozenset[str]:
    """The names of a list with commas, as `refuse_foreign` compares them."""
    return frozenset(name.strip().lower().rstrip(".") for name in listed.split(",") if name.strip())


def host_of(field: str) -> str:
    """The host of a ``Host`` field or an authority, without its port, in lower case; '' when it is none."""
    try:
        return (urllib.parse.urlsplit(f"//{field}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def refuse_foreign(host: str, names: AbstractSet[str]) -> None:
    """Raise `errors.Misdirected` for a host that is not one of ``names``; with no names each is taken.

    A name ``*.example.com`` stands for all below it.
    """
    if names and not _is_among(host.lower().rstrip("."), names):
        raise errors.Misdirected(
            f"this platform does not go by the name {host[:100]!r}", hint="see the setting host_names"
        )


def refuse_rebound(field: str, names: AbstractSet[str]) -> None:
    """Raise `errors.Misdirected` for a ``Host`` to which a stranger could have led a browser: a name that is not ours.

    An address, and a name without a dot, which only the own network knows, can be led to nobody else.
    """
    host = host_of(field)
    is_own = _is_address(host) or (host and "." not in host)
    if not is_own:
        refuse_foreign(host, names or _NONE)


def refuse_strange_origin(origin: str | None, host: str) -> None:
    """Raise `errors.Forbidden` for a request that a page of another origin than ``host`` made in a browser."""
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        raise errors.Forbidden(
            f"a page of {origin[:100]!r} may not use the control API", hint="call it from its own pages, or no page"
        )


def _is_among(host: str, names: AbstractSet[str]) -> bool:
    return host in names or any(name.startswith("*.") and host.endswith(name[1:]) for name in names)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
