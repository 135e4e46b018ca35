"""A node among the others: its lease, and what dead ones left.

A lease is for what was claimed from the queue. What was handed off is in the journal, which has its own lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from faas.cluster import catalog, leases, watch
from faas.queue import invocations
from runners.journal import leftovers

_log = logging.getLogger(__name__)


class Membership:
    """One node's lease, and its eyes on those of others. ``state`` is what it says of itself now."""

    def __init__(
        self,
        queue: invocations.Queue,
        versions: catalog.Catalog,
        node: str,
        lease_ms: int,
        journals: Path,
        state: Callable[[], catalog.NodeState],
    ) -> None:
        self._queue = queue
        self._versions = versions
        self._node = node
        self._lease_ms = lease_ms
        self._journals = journals
        self._state = state
        self._watch = watch.NodeWatch(lease_ms)
        self._beat_number = 0

    async def renew(self) -> None:
        """Renew the lease. Raises `errors.Unavailable`."""
        self._beat_number += 1
        state = msgspec.structs.replace(self._state(), beat=self._beat_number)
        await self._versions.renew(self._node, state, self._lease_ms)

    async def reap(self) -> None:
        """Take over what dead nodes had claimed, and settle what ended processes of this machine had been handed.

        Raises `errors.Unavailable`.
        """
        for dead, lease in (await self._watch.dead(self._queue)).items():
            # By the lease as it was when the node was found dead: one that has woken up meanwhile has another.
            taken = await leases.take_over(self._queue, dead, lease)
            _log.warning("node_taken_over", extra={"dead": dead, "invocations": taken})
        await leftovers.settle(self._queue, self._journals)

    async def leave(self) -> None:
        """What this node still holds is another's now: the lease goes first, so that nobody believes in it.

        Raises `errors.Unavailable`.
        """
        # Deleted and not left to lapse: others would wait for as long as the lease holds.
        await self._queue.link.call("DEL", self._queue.keys.node(self._node))
        await leases.take_over(self._queue, self._node)
