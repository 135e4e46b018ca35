"""The memory that a node shares out among its sandboxes: what is promised to them, whether they use it or not."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

_SHARE_OF_MACHINE = 0.8


class Memory:
    """Counts promises in MB. ``total_mb`` 0 is a node's part of the machine's memory, which so many ``nodes`` share."""

    def __init__(self, total_mb: int, nodes: int = 1) -> None:
        self.total_mb = total_mb or int(machine_mb() * _SHARE_OF_MACHINE / nodes)
        self.used_mb = 0
        self.awaited_mb = 0
        """What revisions wait for that there was no room for: it is not for the stock."""

    @property
    def free_mb(self) -> int:
        """What may still be promised."""
        return self.total_mb - self.used_mb

    @property
    def spare_mb(self) -> int:
        """What may be promised to sandboxes that nobody waits for."""
        return max(self.free_mb - self.awaited_mb, 0)

    def promise(self, mb: int) -> bool:
        """Promise so much, or nothing when there is no room."""
        if mb > self.free_mb:
            return False
        self.used_mb += mb
        return True

    def take_back(self, mb: int) -> None:
        """A sandbox that it was promised to is gone."""
        self.used_mb -= mb


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


def machine_mb() -> int:
    """All memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
