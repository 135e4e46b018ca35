"""The memory that a node shares out among its sandboxes: what is promised to them, whether they use it or not.

It is a part of this machine's, unless the sandboxes run elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from faas.cluster import machine
from runners.sandbox import base


class Memory:
    """Counts a node's promises in MB. ``total_mb`` 0 is its part of the machine's share, which so many ``nodes`` have.

    What all parties of the machine promise together is for its broker to bound: this is one's ``part`` of that. With a
    ``room`` elsewhere there is no part, and the room takes the place of the machine.
    """

    def __init__(
        self, total_mb: int, nodes: int = 1, part: machine.Part | None = None, room: base.EngineRoom | None = None
    ) -> None:
        share_mb = machine.share_mb(total_mb) if room is None else room.memory_mb
        self.total_mb = min(total_mb or share_mb // nodes, share_mb)
        self._part = part
        self.used_mb = 0
        self.awaited_mb = 0
        """What revisions wait for that there was no room for: it is not for the stock."""

    @property
    def free_mb(self) -> int:
        """What may still be promised."""
        own_mb = self.total_mb - self.used_mb
        # Others of the machine may have promised more than was planned for them.
        return own_mb if self._part is None else min(own_mb, self._part.free_mb)

    @property
    def spare_mb(self) -> int:
        """What may be promised to sandboxes that nobody waits for."""
        return max(self.free_mb - self.awaited_mb, 0)

    def promise(self, mb: int) -> bool:
        """Promise so much, or nothing when there is no room."""
        # Own bound first: the broker is asked, and told, only for what this node could take.
        if self.used_mb + mb > self.total_mb or not (self._part is None or self._part.promise(mb)):
            return False
        self.used_mb += mb
        return True

    def take_back(self, mb: int) -> None:
        """A sandbox that it was promised to is gone."""
        self.used_mb -= mb
        if self._part is not None:
            self._part.take_back(mb)


def processors(room: base.EngineRoom | None, nodes: int) -> int:
    """How many processors one of so many nodes has for its sandboxes, at least one."""
    total = (os.cpu_count() or 1) if room is None else room.processors
    return max(total // nodes, 1)


class Evictions(msgspec.Struct, frozen=True):
    """How many prewarmed sandboxes, and how many idle slots, have to go."""

    stock: int = 0
    idle: int = 0


def evictions(wanted_mb: int, free_mb: int, stock_mb: Sequence[int], idle_mb: Sequence[int]) -> Evictions:
    """What makes room for so much memory, taken in the order given, as far as it goes.

    The stock goes first: it is made again when there is room, and an idle slot holds a function that was in use.
    """
    missing_mb = wanted_mb - free_mb
    counts = []
    for each in (stock_mb, idle_mb):
        count = 0
        while missing_mb > 0 and count < len(each):
            missing_mb -= each[count]
            count += 1
        counts.append(count)
    return Evictions(*counts)
