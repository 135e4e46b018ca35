"""Who has how much of a node's memory: it is shared out among functions, and a function's share among its revisions.

Work that waits stays with the revision that it was accepted for, so a function that was deployed often may have many
revisions at once; it has no more of the node for that.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from runners import seats
from runners import slot as slots

_TURN_MS = 1_000
"""How long the only slot that there is room for stays with one while another waits for it."""


class Shares:
    """What each revision of a node holds, as it is now."""

    def __init__(self, all_seats: Iterable[seats.Seat]) -> None:
        self._seats = list(all_seats)
        self._of_functions: collections.Counter[str] = collections.Counter()
        for seat in self._seats:
            self._of_functions[seat.revision.function] += held_mb(seat)

    def of(self, seat: seats.Seat, beside: seats.Seat) -> int:
        """Memory that counts as the revision's when it is compared with another: that of its whole function, unless
        both are of the same.
        """
        if seat.revision.function == beside.revision.function:
            return held_mb(seat)
        return self._of_functions[seat.revision.function]

    def is_next(self, seat: seats.Seat, waiting: Iterable[seats.Seat], room_mb: int, places: int) -> bool:
        """Whether a revision may have a slot, of the memory and the places that there are.

        Of those ``waiting``, longest first, each comes before it with one slot that has less, and so does each that has
        as much, has waited for longer and would find room.
        """
        came_before = True
        for other in waiting:
            if other is seat:
                came_before = False
                continue
            theirs_mb, ours_mb, other_mb = self.of(other, seat), self.of(seat, other), other.revision.config.memory_mb
            if theirs_mb < ours_mb or (theirs_mb == ours_mb and came_before and other_mb <= room_mb):
                room_mb -= other_mb
                places -= 1
        return seat.revision.config.memory_mb <= room_mb and places > 0

    def idle_for(self, seat: seats.Seat, now_ms: int) -> list[tuple[seats.Seat, slots.Slot]]:
        """The idle slots of others whose memory a revision may have, those idle longest first.

        What was in use a moment ago most likely is again: it only goes to who has less.
        """
        found = [
            (other, slot)
            for other in self._seats
            if other is not seat
            for slot in other.idle
            if now_ms - slot.idle_since_ms >= _TURN_MS or self._may_take(seat, other, now_ms - slot.born_at_ms)
        ]
        return sorted(found, key=lambda pair: pair[1].idle_since_ms)

    def giver(self, seat: seats.Seat, now_ms: int) -> seats.Seat | None:
        """Who gives up a slot for a revision that waits: of the function that has most, or else of its own."""
        beside = [other for other in self._seats if other is not seat]
        of_others = [other for other in beside if other.revision.function != seat.revision.function]
        of_its_own = [other for other in beside if other.revision.function == seat.revision.function]
        for among in (of_others, of_its_own):
            richest = self._richest(seat, among)
            if richest is None:
                continue
            if self._may_take(seat, richest, min((now_ms - slot.born_at_ms for slot in richest.slots), default=0)):
                return richest
        return None

    def _may_take(self, seat: seats.Seat, other: seats.Seat, age_ms: int) -> bool:
        return may_take(self.of(seat, other), self.of(other, seat), seat.revision.config.memory_mb, age_ms)

    def _richest(self, seat: seats.Seat, among: list[seats.Seat]) -> seats.Seat | None:
        """Of who has most the busy revision that has most; None when none is busy, or one gives already."""
        first = max(among, key=lambda other: self.of(other, seat), default=None)
        if first is None:
            return None
        its = [other for other in among if other.revision.function == first.revision.function and other.busy]
        if any(other.gives_up for other in its):
            return None
        return max(its, key=held_mb, default=None)

    def owes(self, seat: seats.Seat, waiting: Iterable[seats.Seat]) -> bool:
        """Whether one of those ``waiting`` has less than a revision even with one slot more, and this one less."""
        slot_mb = seat.revision.config.memory_mb
        return any(
            self.of(other, seat) + other.revision.config.memory_mb <= self.of(seat, other) - slot_mb
            for other in waiting
            if other is not seat
        )


def held_mb(seat: seats.Seat) -> int:
    """Memory promised to a revision."""
    return seat.revision.config.memory_mb * seat.total


def may_take(poor_mb: int, rich_mb: int, slot_mb: int, youngest_ms: int) -> bool:
    """Whether who holds ``poor_mb`` and waits may have a slot's memory of one that holds ``rich_mb``.

    Yes when it has less even then; and when it has nothing, once the other has had its turn.
    """
    return poor_mb + slot_mb <= rich_mb - slot_mb or (poor_mb == 0 and rich_mb > 0 and youngest_ms >= _TURN_MS)
