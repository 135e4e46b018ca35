"""The memory that a node shares out among its sandboxes: what is promised to them, whether they use it or not."""

from __future__ import annotations

import os

_SHARE_OF_MACHINE = 0.8


class Memory:
    """Counts promises in MB. ``total_mb`` 0 is a share of the machine's memory."""

    def __init__(self, total_mb: int) -> None:
        self.total_mb = total_mb or int(machine_mb() * _SHARE_OF_MACHINE)
        self.used_mb = 0

    @property
    def free_mb(self) -> int:
        """What may still be promised."""
        return self.total_mb - self.used_mb

    def promise(self, mb: int) -> bool:
        """Promise so much, or nothing when there is no room."""
        if mb > self.free_mb:
            return False
        self.used_mb += mb
        return True

    def take_back(self, mb: int) -> None:
        """A sandbox that it was promised to is gone."""
        self.used_mb -= mb


def machine_mb() -> int:
    """All memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
