"""Addresses of peers, and lists of networks that settings name; pure functions."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

from faas.core import errors

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_OF_ONE_CUSTOMER = 64
"""The leading bits of an IPv6 address; the others are the customer's own to vary."""


def networks(listed: str, setting: str) -> tuple[Network, ...]:
    """The networks of a list with commas; a single address is one. Raises `errors.BadRequest` naming the setting."""
    found: list[Network] = []
    for each in filter(None, (part.strip() for part in listed.split(","))):
        try:
            found.append(ipaddress.ip_network(each, strict=False))
        except ValueError as error:
            raise errors.BadRequest(
                f"{setting}: {each!r} is no address and no network",
                hint="write it like 127.0.0.1, 10.0.0.0/8, fd00::/8",
            ) from error
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def read(text: str) -> Address | None:
    """An address as it stands in a list of hops: perhaps in quotes or brackets, with a port, or IPv4 within IPv6."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def customer(address: str) -> str:
    """What is one client's own of an address: of IPv6 the network of 64 bits that one customer has whole."""
    if ":" not in address:
        return address
    found = read(address)
    if found is None:
        return address
    return str(found if found.version == 4 else ipaddress.IPv6Network((found, _OF_ONE_CUSTOMER), strict=False))


def client(peer: str, hops: Sequence[str], proxies: tuple[Network, ...]) -> str:
    """The nearest address that is not one of the proxies; each proxy says who asked it. The nearest hop is the last."""
    nearest = peer
    for hop in reversed(hops):
        found = read(hop)
        if found is None or not is_within(nearest, proxies):
            break
        nearest = str(found)
    return nearest


def is_within(address: str, among: tuple[Network, ...]) -> bool:
    """Whether an address belongs to one of the networks."""
    found = read(address) if among else None
    return found is not None and any(found in network for network in among if network.version == found.version)
