"""Walks that rest between two pages of a listing, for whoever asks for the next one.

They are bounded in number, in names and in time. Correctness does not depend on them: a page whose walk is not here, or
whose folders have changed, is found by another walk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faas.buckets.folder import listing

_MOST = 16
_MOST_NAMES = 1_000_000
_IDLE_S = 30.0


class WalkPlace(NamedTuple):
    """Where a walk goes on: the bucket's folder, the prefix that is asked for, and the last key that was given."""

    root: Path
    prefix: str
    after: str


class Walks:
    """The resting walks of a process. ``clock`` gives seconds that only grow."""

    def __init__(
        self,
        most: int = _MOST,
        most_names: int = _MOST_NAMES,
        idle_s: float = _IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_names = most_names
        self._idle_s = idle_s
        self._clock = clock
        self._lock = threading.Lock()
        self._resting: dict[WalkPlace, tuple[float, listing.Walk]] = {}
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._resting)

    @property
    def names(self) -> int:
        """How many names they hold in all."""
        return sum(walk.names for _, walk in self._resting.values())

    def take(self, place: WalkPlace, root: int) -> listing.Walk | None:
        """The walk that goes on there, awake; None when there is none or a folder has changed. Raises `OSError`."""
        with self._lock:
            # Taken out under the lock: two that ask for the same page do not share a walk.
            _, walk = self._resting.pop(place, (0.0, None))
        return walk if walk is not None and walk.resume(root) else None

    def keep(self, place: WalkPlace, walk: listing.Walk) -> None:
        """Keep a walk that rests. The oldest ones give way; one that is too large is not kept."""
        with self._lock:
            self._resting.pop(place, None)
            self._resting[place] = self._clock(), walk
            while len(self._resting) > self._most or self.names > self._most_names:
                # A dictionary keeps its order, so the first one is the oldest.
                del self._resting[next(iter(self._resting))]
            self._see_to_expiry()

    def expire(self) -> None:
        """Throw away what nobody has asked for in time."""
        with self._lock:
            too_old = self._clock() - self._idle_s
            for place in [place for place, (kept_at, _) in self._resting.items() if kept_at <= too_old]:
                del self._resting[place]
            self._timer = None
            self._see_to_expiry()

    def _see_to_expiry(self) -> None:
        if self._timer is not None or not self._resting:
            return
        # A thread that sleeps, and only while something rests: a process that is asked nothing holds nothing.
        self._timer = threading.Timer(self._idle_s, self.expire)
        self._timer.daemon = True
        self._timer.start()
