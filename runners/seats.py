"""What a node has promised to each revision: its lane with the slots that exist, and those that are being made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from faas.core import model
from runners import lane as lanes
from runners import slot as slots


class Seat:
    """One revision on one node, as `runners.pool` counts it. Only the pool changes it."""

    def __init__(self, lane: lanes.Lane) -> None:
        self.lane = lane
        self.revision: model.Revision = lane.revision
        self.ref = lane.ref
        self.making = 0
        """Slots that are on their way."""
        self.gives_up = 0
        """Slots to close at the end of their attempts, for another revision that waits and has less."""
        self.was_current = False
        self.is_retired = False
        self.users = 0
        """Tasks that see to the lane; it stays on its node for as long as there are any."""

    def __repr__(self) -> str:
        return f"<Seat {self.lane!r}, {self.making} in the making>"

    @property
    def total(self) -> int:
        """Slots that exist or are being made."""
        return len(self.lane.slots) + self.making

    @property
    def idle(self) -> list[slots.Slot]:
        """Those that run nothing."""
        return self.lane.idle

    @property
    def slots(self) -> set[slots.Slot]:
        """Those that exist."""
        return self.lane.slots

    @property
    def busy(self) -> int:
        """How many run an attempt."""
        return self.lane.busy

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the lane on the node during the block."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
