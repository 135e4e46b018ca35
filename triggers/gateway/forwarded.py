"""Who asked, by which scheme, host and port: what a proxy in front says of it, if it is believed, and what we say.

Every gateway adds ``X-Forwarded-For``, ``-Proto`` and ``-Port``; frameworks make their links and redirects of them. A
client could send them as well, so whoever is not in ``trusted_proxies`` is not believed: its fields are left out, and
only what this gateway saw itself is told. Who is believed may say it by ``Forwarded`` (RFC 7239) instead. Pure
functions; what they find is kept with the head.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import msgspec

from faas.core import errors
from faas.core.http import addresses
from triggers.gateway import forwarded_field, request

_FOR, _PROTO, _PORT = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"
_HOST, _PREFIX = "x-forwarded-host", "x-forwarded-prefix"
_OWN = frozenset({_FOR, _PROTO, _PORT})
_TELLING = frozenset({_FOR, _PROTO, _PORT, _HOST})
_CLAIMS = frozenset({"forwarded", "x-real-ip", "front-end-https", "x-url-scheme"})
"""Fields beside ``X-Forwarded-*`` that frameworks believe."""
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
"""What is between the client and this gateway: the body that a function gets is whole, whatever way it came."""
_USUAL_PORTS = {"http": "80", "https": "443"}


class Forwarded(msgspec.Struct, frozen=True):
    """The client's address and the host that it named, and the header fields as the function sees them."""

    client_ip: str
    host: str
    fields: list[tuple[str, str]]


class Claims(msgspec.Struct, frozen=True):
    """What a proxy says; '' for what it does not. ``hops`` are who asked whom, the nearest last."""

    hops: list[str]
    scheme: str
    host: str
    port: str


def seen(head: request.Head, peer_ip: str, trusted: tuple[addresses.Network, ...], prefix: str = "") -> Forwarded:
    """What is known of a request that came from ``peer_ip``.

    ``prefix`` is what the path lost on its way to the function. Raises `errors.BadRequest` for a host that is none.
    """
    if not addresses.is_within(peer_ip, trusted):
        return _of_stranger(head, peer_ip, prefix)
    fields = [field for field in head.fields if _may_pass_trusted(field[0])]
    claims = _claims(head.fields)
    scheme = claims.scheme if claims.scheme in _USUAL_PORTS else "http"
    host, port = _place(head, claims.host)
    fields += [(_PROTO, scheme), (_PORT, claims.port if _is_port(claims.port) else port or _USUAL_PORTS[scheme])]
    fields.append((_FOR, ", ".join([*claims.hops, peer_ip])))
    if prefix:
        outer = _last(fields, _PREFIX)
        fields = [field for field in fields if field[0] != _PREFIX] + [(_PREFIX, outer.rstrip("/") + prefix)]
    return Forwarded(addresses.client(peer_ip, claims.hops, trusted), host, fields)


def _of_stranger(head: request.Head, peer_ip: str, prefix: str) -> Forwarded:
    """What nearly every request is, of which every other client sends a new head with each."""
    fields = [field for field in head.fields if _may_pass(field[0])]
    fields += ((_PROTO, "http"), (_PORT, head.port or "80"))
    if peer_ip:
        fields.append((_FOR, peer_ip))
    if prefix:
        fields.append((_PREFIX, prefix))
    return Forwarded(peer_ip, head.host, fields)


@functools.lru_cache(maxsize=1024)
def _may_pass(name: str) -> bool:
    # To a WSGI application an underscore is a hyphen.
    name = name.replace("_", "-")
    return not (name in _OF_THE_CONNECTION or name in _CLAIMS or name.startswith("x-forwarded-"))


@functools.lru_cache(maxsize=1024)
def _may_pass_trusted(name: str) -> bool:
    """Whether a field goes on that a trusted proxy sent: those that it sets have hyphens, others are its client's."""
    return name not in _OWN and name not in _OF_THE_CONNECTION and ("_" not in name or _may_pass(name))


def _claims(fields: list[tuple[str, str]]) -> Claims:
    # Most proxies set these and pass on whatever else a client sent: then ``Forwarded`` may be the client's own.
    if any(name in _TELLING for name, _ in fields):
        hops = [part.strip() for part in _all(fields, _FOR).split(",") if part.strip()]
        return Claims(hops, _last(fields, _PROTO).lower(), _last(fields, _HOST), _last(fields, _PORT))
    said = forwarded_field.read(_all(fields, "forwarded"))
    return Claims(
        [each["for"] for each in said if each.get("for")],
        _nearest(said, "proto").lower(),
        _nearest(said, "host"),
        "",
    )


def _nearest(said: list[forwarded_field.Said], name: str) -> str:
    return next((each[name] for each in reversed(said) if name in each), "")


def _place(head: request.Head, claimed: str) -> tuple[str, str]:
    if not claimed:
        return head.host, head.port
    host, port = request.host_and_port(claimed)
    if not host:
        raise errors.BadRequest("the proxy in front names no host")
    return host, port


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65_536


def _all(fields: Iterable[tuple[str, str]], name: str) -> str:
    return ",".join(value for key, value in fields if key == name)


def _last(fields: Iterable[tuple[str, str]], name: str) -> str:
    """What the nearest proxy said, when each added to a list."""
    return _all(fields, name).rpartition(",")[2].strip()
