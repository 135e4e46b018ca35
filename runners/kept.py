"""Outcomes that Redis could not be told of: kept in memory, tried one at a time, and let go together.

What is kept is lost with its node. So as soon as Redis takes one of them it is to have all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from faas.core import model
from faas.queue import invocations
from runners import slot as slots

_TRIED_EVERY_S = 0.2

_log = logging.getLogger(__name__)


class KeptAttempt(msgspec.Struct, frozen=True, eq=False):
    """An attempt from the queue that is over: how it was claimed, and how it ended."""

    revision: model.Revision
    claim: invocations.Claim
    ended: slots.Ended


Settle = Callable[[Sequence[KeptAttempt]], None]


class Keeper:
    """Keeps outcomes. ``settle`` is tried with one of them now and then, not while ``is_open`` says no.

    Whoever settles says of each what became of it, by `keep` or by `taken`.
    """

    def __init__(self, is_open: Callable[[], bool], settle: Settle) -> None:
        self._is_open = is_open
        self._settle = settle
        self._loop = asyncio.get_running_loop()
        self._kept: list[KeptAttempt] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tried: KeptAttempt | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def entries(self) -> set[str]:
        """The entries by which they were claimed."""
        return {one.claim.entry for one in self._kept}

    def keep(self, some: Sequence[KeptAttempt], why: str) -> None:
        """Keep outcomes until Redis takes them."""
        if not self._kept and self._tried is None:
            _log.warning("outcomes_kept", extra={"reason": why})
        self._kept += some
        if self._tried in some:
            self._tried = None
        # One try is under way at most, and its end sets the timer again.
        if self._timer is None and self._tried is None:
            self._timer = self._loop.call_later(_TRIED_EVERY_S, self._try_one)

    def taken(self, some: Sequence[KeptAttempt]) -> None:
        """Let outcomes go that Redis took. When the one that was tried is among them, it is to have all."""
        if self._tried is not None and self._tried in some:
            self._tried = None
            self.release()

    def release(self) -> None:
        """Settle all of them. What fails again is kept again."""
        some, self._kept = self._kept, []
        if some:
            _log.info("outcomes_resent", extra={"count": len(some)})
            self._settle(some)

    def _try_one(self) -> None:
        self._timer = None
        if not self._kept or self._tried is not None:
            return
        if self._is_open():
            # One alone: a Redis that takes no writes would get the same hundreds again and again.
            self._tried = self._kept.pop(0)
            self._settle([self._tried])
        else:
            self._timer = self._loop.call_later(_TRIED_EVERY_S, self._try_one)
