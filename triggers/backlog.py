"""Which objects want a look, when, and how sure it is that they are complete; no I/O."""

from __future__ import annotations

import heapq

import msgspec

from faas import buckets


class Look(msgspec.Struct, frozen=True):
    """One key to look at. ``tries`` counts the looks that led to nothing since it was last heard of.

    ``was_away`` says that it was removed or moved out since it was looked at; it may be back.
    """

    key: str
    sign: buckets.Sign
    tries: int = 0
    was_away: bool = False


class Backlog:
    """Keys by the moment of their next look, each at most once; moments are of the event loop's clock, in seconds."""

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[float, Look]] = {}
        self._heap: list[tuple[float, str]] = []
        self.fresh = 0
        """How many of the looks are the first since their key was heard of."""

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, look: Look, at: float) -> None:
        """Want a look; of two wishes for one key the earlier moment and the stronger sign hold."""
        held = self._wanted.get(look.key)
        if held is not None:
            at = min(at, held[0])
            was_away = look.was_away or held[1].was_away
            look = msgspec.structs.replace(look, sign=max(look.sign, held[1].sign), was_away=was_away)
            self.fresh -= held[1].tries == 0
        self._wanted[look.key] = (at, look)
        self.fresh += look.tries == 0
        if held is None or at < held[0]:
            heapq.heappush(self._heap, (at, look.key))

    def take(self, now: float, most: int) -> list[Look]:
        """Up to ``most`` looks whose moment has come; they are wanted no more."""
        taken: list[Look] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < most:
            at, key = heapq.heappop(self._heap)
            held = self._wanted.get(key)
            if held is not None and held[0] == at:
                del self._wanted[key]
                self.fresh -= held[1].tries == 0
                taken.append(held[1])
        return taken

    def next_at(self) -> float | None:
        """The moment of the next look."""
        return self._heap[0][0] if self._heap else None
