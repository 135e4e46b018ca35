"""Who asked, by which scheme, host and port: what a proxy in front says of it, if it is believed, and what we say.

Every gateway adds ``X-Forwarded-For``, ``-Proto`` and ``-Port``; frameworks make their links and redirects of them. A
client could send them as well, so whoever is not in ``trusted_proxies`` is not believed: its fields are left out, and
only what this gateway saw itself is told. Pure functions; what they find is kept with the head.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from faas.core import addresses, errors
from triggers.gateway import request

_FOR, _PROTO, _PORT = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"
_HOST, _PREFIX = "x-forwarded-host", "x-forwarded-prefix"
_OWN = frozenset({_FOR, _PROTO, _PORT})
_CLAIMS = frozenset({"forwarded", "x-real-ip", "front-end-https", "x-url-scheme"})
"""Fields beside ``X-Forwarded-*`` that frameworks believe."""
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
"""What is between the client and this gateway: the body that a function gets is whole, whatever way it came."""
_USUAL_PORTS = {"http": "80", "https": "443"}


class Seen(msgspec.Struct, frozen=True):
    """The client's address and the host that it named, and the header fields as the function sees them."""

    client_ip: str
    host: str
    fields: list[tuple[str, str]]


def seen(head: request.Head, peer_ip: str, trusted: tuple[addresses.Network, ...], prefix: str = "") -> Seen:
    """What is known of a request that came from ``peer_ip``.

    ``prefix`` is what the path lost on its way to the function. Raises `errors.BadRequest` for a host that is none.
    """
    is_believed = addresses.is_within(peer_ip, trusted)
    fields = [field for field in head.fields if _is_passed(field[0], is_believed=is_believed)]
    hops = [part.strip() for part in _all(head.fields, _FOR).split(",") if part.strip()] if is_believed else []
    claimed = _last(head.fields, _PROTO).lower() if is_believed else ""
    scheme = claimed if claimed in _USUAL_PORTS else "http"
    host, port = _place(head, is_believed=is_believed)
    own_port = _last(head.fields, _PORT) if is_believed else ""
    fields += [(_PROTO, scheme), (_PORT, own_port if _is_port(own_port) else port or _USUAL_PORTS[scheme])]
    if peer_ip:
        fields.append((_FOR, ", ".join([*hops, peer_ip])))
    if prefix:
        outer = _last(fields, _PREFIX)
        fields = [field for field in fields if field[0] != _PREFIX] + [(_PREFIX, outer.rstrip("/") + prefix)]
    return Seen(_client(peer_ip, hops, trusted), host, fields)


def _is_passed(name: str, *, is_believed: bool) -> bool:
    if name in _OWN or name in _OF_THE_CONNECTION:
        return False
    return is_believed or not (name.startswith("x-forwarded-") or name in _CLAIMS)


def _place(head: request.Head, *, is_believed: bool) -> tuple[str, str]:
    claimed = _last(head.fields, _HOST) if is_believed else ""
    if not claimed:
        return head.host, head.port
    host, port = request.host_and_port(claimed)
    if not host:
        raise errors.BadRequest("X-Forwarded-Host names no host")
    return host, port


def _client(peer_ip: str, hops: list[str], trusted: tuple[addresses.Network, ...]) -> str:
    """The nearest address that is not one of the proxies; each proxy says who asked it."""
    client = peer_ip
    for hop in reversed(hops):
        found = addresses.read(hop)
        if found is None or not addresses.is_within(client, trusted):
            break
        client = str(found)
    return client


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65_536


def _all(fields: Iterable[tuple[str, str]], name: str) -> str:
    return ",".join(value for key, value in fields if key == name)


def _last(fields: Iterable[tuple[str, str]], name: str) -> str:
    """What the nearest proxy said, when each added to a list."""
    return _all(fields, name).rpartition(",")[2].strip()
