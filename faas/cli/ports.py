"""Choosing ports before anything listens, so that a port in use is one clear line and port 0 works for all."""

from __future__ import annotations

import errno
import socket

from faas.core import errors


def reserve(host: str, port: int, flag: str) -> socket.socket:
    """A bound socket that holds the port for this platform's processes, which share it by SO_REUSEPORT.

    It never listens, so it gets no connections. No client that connects to it while nobody listens is given the same
    port for its own end, which would keep it from who is to be started again. Raises `errors.Conflict` naming the port
    and the flag that changes it.
    """
    family, address = _resolved(host, port)
    with socket.socket(family) as probe:  # without SO_REUSEPORT: it fails also where another platform shares its port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections of an earlier run are no use
        _bind(probe, address, host, port, flag)
        address = probe.getsockname()
    reserved = socket.socket(family)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        _bind(reserved, address, host, port, flag)
    except BaseException:
        reserved.close()
        raise
    return reserved


def url(host: str, port: int) -> str:
    """The URL under which this machine reaches a listener on ``host``."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise errors.BadRequest(f"{host!r} is no address of this machine: {error}", hint="see --host") from error
    family, _, _, _, address = found[0]
    return family, address


def _bind(listener: socket.socket, address: tuple[object, ...], host: str, port: int, flag: str) -> None:
    try:
        listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise errors.Conflict(
                f"port {port} of {host} is in use", hint=f"choose another with {flag} (0 takes any free one)", port=port
            ) from error
        raise errors.BadRequest(f"cannot listen on {host} port {port}: {error.strerror}", hint=f"see {flag}") from error
