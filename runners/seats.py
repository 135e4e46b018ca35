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
        self.tidied_at = 0.0
        """When it was last found out, in seconds of the monotonic clock, that no claim is unheard of."""
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
        """The slots that run nothing."""
        return self.lane.idle

    @property
    def slots(self) -> set[slots.Slot]:
        """The slots that exist."""
        return self.lane.slots

    @property
    def busy(self) -> int:
        """How many run an attempt."""
        return self.lane.busy

    def may_be_forgotten(self, lease_s: float) -> bool:
        """Whether the node holds nothing of the revision any more.

        The answer to a claim may have been lost with its connection. What Redis claimed then is found once it has been
        claimed for as long as a lease, so the lane stays until somebody has looked after that.
        """
        looked = self.tidied_at - self.lane.claims.asked_at > lease_s
        return self.total == 0 and self.users == 0 and looked and self.lane.holds_nothing

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the lane on the node during the block."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
