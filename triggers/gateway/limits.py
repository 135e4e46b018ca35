"""What a gateway takes of its clients, and for how long: one table."""

from __future__ import annotations

import msgspec

from faas.core.http import addresses

LINE_BYTES = 16_384
"""The longest request line (method, target, version)."""
HEAD_BYTES = 65_536
"""The longest head of a request: its line and its fields."""
FIELDS = 128
"""The most fields of a head."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds that the settings name.

    ``max_queue_wait_ms`` is how long a sync call may wait for a slot, beside its own timeout, and
    ``receive_timeout_ms`` how long the head of a request may take to come, and its body, and an answer to be read
    (which has more time the longer it is). ``keep_alive_ms`` is for how long an idle connection is kept.
    ``max_connection_bytes`` is what all connections may hold of requests that are not whole and answers that are not
    read. ``names`` are the hosts that requests may name; any, when there are none. ``trusted_proxies`` are believed in
    what they say of who asked.
    """

    max_event_bytes: int
    max_queue_wait_ms: int
    receive_timeout_ms: int = 30_000
    keep_answers_ms: int = 86_400_000
    keep_alive_ms: int = 75_000
    max_connections: int = 10_000
    max_connection_bytes: int = 268_435_456
    names: frozenset[str] = frozenset()
    trusted_proxies: tuple[addresses.Network, ...] = ()
