"""Which nodes are dead, as one living node sees it, by a clock that nobody can set.

A node is dead when it has not renewed its lease for `settings.lease_ms`, by the watcher's monotonic clock. Redis knows
the wall clock only, so that the lifetime of a key cannot tell: when that clock jumps an hour forward every lease lapses
at once, and when it jumps back that of a dead node lasts an hour longer. So what counts is that the lease *changes*,
which it does with each renewal. Of the time in which the watcher itself saw nothing (it was paused, or Redis was away)
little counts: others may have been unable to renew just as long. A node whose process has ended is dead at once, which
only a watcher on the same machine can see.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from faas.cluster import catalog, leases
from faas.core import clock
from faas.core.processes import living
from faas.core.values import unreadable
from faas.queue import invocations

_FEWEST_LOOKS = 4


class Watched(msgspec.Struct, frozen=True):
    """A lease (b"" when its key was never seen), and for how long we have watched it not change."""

    lease: bytes
    still_s: float = 0.0


class NodeWatch:
    """One node's eyes on all the others. `dead` is to be called with each heartbeat."""

    def __init__(self, lease_ms: int, clock: Callable[[], float] = clock.steady_s) -> None:
        self._lease_s = lease_ms / 1000
        self._clock = clock
        self._looked_at = clock()
        self._seen: dict[str, Watched] = {}

    async def dead(self, queue: invocations.Queue) -> dict[str, bytes]:
        """The nodes that may hold work and are dead, with the leases last seen. Raises `errors.Unavailable`."""
        found = {name: await queue.link.call("GET", queue.keys.node(name)) for name in await leases.holders(queue)}
        now = self._clock()
        watched_s = min(now - self._looked_at, self._lease_s / _FEWEST_LOOKS)
        self._looked_at = now
        self._seen = {name: _look(self._seen.get(name), lease, watched_s) for name, lease in found.items()}
        return {
            name: seen.lease
            for name, seen in self._seen.items()
            if seen.still_s >= self._lease_s or _has_ended(seen.lease)
        }


def _has_ended(lease: bytes) -> bool:
    try:
        process = msgspec.json.decode(lease, type=catalog.NodeState).process
    except unreadable.ERRORS:
        return False
    return process is not None and living.is_dead(process)


def _look(before: Watched | None, lease: bytes | None, watched_s: float) -> Watched:
    """A lease whose key has lapsed is no news: it changes when it is renewed, only."""
    if before is None or (lease is not None and lease != before.lease):
        return Watched(lease or b"")
    return Watched(before.lease, before.still_s + watched_s)
