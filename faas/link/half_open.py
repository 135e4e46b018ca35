"""Ends TCP connections whose other host has gone without a word: it lost its power, or the network lost the way to it.

Such a connection looks open for as long as nobody sends, and for about a quarter of an hour when somebody does. With
these options (their words are those of tcp(7)) the kernel ends it after about 11 s, idle or not.

It is the other *kernel* that has to answer: a Redis that stands still keeps its connections, unless some MB wait for
it, which is when its kernel takes no more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

_IDLE_S = 5
"""tcp_keepalive_time: for how long nothing came before the first probe."""
_BETWEEN_PROBES_S = 2
"""tcp_keepalive_intvl."""
_PROBES = 3
"""tcp_keepalive_probes: how many go unanswered before the end."""
_UNACKNOWLEDGED_MS = 11_000
"""TCP_USER_TIMEOUT: how long what was sent may go unacknowledged. It goes before the number of probes, so it is as long
as they take: 5 + 3 * 2 s."""

OPTIONS: Mapping[int, int] = {
    socket.TCP_KEEPIDLE: _IDLE_S,
    socket.TCP_KEEPINTVL: _BETWEEN_PROBES_S,
    socket.TCP_KEEPCNT: _PROBES,
    socket.TCP_USER_TIMEOUT: _UNACKNOWLEDGED_MS,
}
"""Options of `socket.IPPROTO_TCP`. They need `socket.SO_KEEPALIVE`."""


def watch(transport: asyncio.BaseTransport) -> None:
    """Let the kernel end this connection when it is half open. One over a Unix socket never is, and stays as it is."""
    connection = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in OPTIONS.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
