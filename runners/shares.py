"""Who has how much of a node's memory: it is shared out among functions, and a function's share among its revisions.

Work that waits stays with the revision that it was accepted for, so a function that was deployed often may have many
revisions at once; it has no more of the node for that.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from runners import lane as lanes

_TURN_MS = 1_000
"""How long the only slot that there is room for stays with one while another waits for it."""


class Shares:
    """What each revision of a node holds, as it is now."""

    def __init__(self, all_lanes: Iterable[lanes.Lane]) -> None:
        self._lanes = list(all_lanes)
        self._of_functions: collections.Counter[str] = collections.Counter()
        for lane in self._lanes:
            self._of_functions[lane.revision.function] += held_mb(lane)

    def of(self, lane: lanes.Lane, beside: lanes.Lane) -> int:
        """Memory that counts as the revision's when it is compared with another: that of its whole function, unless
        both are of the same.
        """
        if lane.revision.function == beside.revision.function:
            return held_mb(lane)
        return self._of_functions[lane.revision.function]

    def is_next(self, lane: lanes.Lane, waiting: Iterable[lanes.Lane], room_mb: int) -> bool:
        """Whether the room that there is may be a revision's, while others have been ``waiting``, longest first.

        One that has less comes first, and so does one that has as much, has waited for longer and would find room.
        """
        came_before = True
        for other in waiting:
            if other is lane:
                came_before = False
                continue
            theirs_mb, ours_mb = self.of(other, lane), self.of(lane, other)
            fits = other.revision.config.memory_mb <= room_mb
            if theirs_mb < ours_mb or (theirs_mb == ours_mb and came_before and fits):
                return False
        return True

    def giver(self, lane: lanes.Lane, now_ms: int) -> lanes.Lane | None:
        """Who gives up a slot for a revision that waits: of the function that has most, or else of its own."""
        beside = [other for other in self._lanes if other is not lane]
        of_others = [other for other in beside if other.revision.function != lane.revision.function]
        of_its_own = [other for other in beside if other.revision.function == lane.revision.function]
        for among in (of_others, of_its_own):
            richest = self._richest(lane, among)
            if richest is None:
                continue
            poor_mb, rich_mb = self.of(lane, richest), self.of(richest, lane)
            youngest_ms = min((now_ms - slot.born_at_ms for slot in richest.slots), default=0)
            if may_take(poor_mb, rich_mb, lane.revision.config.memory_mb, youngest_ms):
                return richest
        return None

    def _richest(self, lane: lanes.Lane, among: list[lanes.Lane]) -> lanes.Lane | None:
        """Of who has most the busy revision that has most; None when none is busy, or one gives already."""
        first = max(among, key=lambda other: self.of(other, lane), default=None)
        if first is None:
            return None
        its = [other for other in among if other.revision.function == first.revision.function and other.busy]
        if any(other.gives_up for other in its):
            return None
        return max(its, key=held_mb, default=None)

    def owes(self, lane: lanes.Lane, waiting: Iterable[lanes.Lane]) -> bool:
        """Whether one of those ``waiting`` has less than a revision even with one slot more, and this one less."""
        slot_mb = lane.revision.config.memory_mb
        return any(
            self.of(other, lane) + other.revision.config.memory_mb <= self.of(lane, other) - slot_mb
            for other in waiting
            if other is not lane
        )


def held_mb(lane: lanes.Lane) -> int:
    """Memory promised to a revision."""
    return lane.revision.config.memory_mb * lane.total


def may_take(poor_mb: int, rich_mb: int, slot_mb: int, youngest_ms: int) -> bool:
    """Whether who holds ``poor_mb`` and waits may have a slot's memory of one that holds ``rich_mb``.

    Yes when it has less even then; and when it has nothing, once the other has had its turn.
    """
    return poor_mb + slot_mb <= rich_mb - slot_mb or (poor_mb == 0 and rich_mb > 0 and youngest_ms >= _TURN_MS)
