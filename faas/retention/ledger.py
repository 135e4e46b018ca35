"""Records, log lines, roll-ups, dead letters and undelivered records that are past their time.

A record is removed only when the entry that brought it has left Redis, and some seconds later. A recorder that found
the entry again would write the record anew, and bill it twice: that is when another died before it acknowledged, or the
machine lost its power and Redis its last second.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from faas.core import clock, groups
from faas.queue import guards, retiring
from faas.queue import server as servers
from faas.retention import policy, steps
from faas.store import removal, rolling, spans

_AT_ONCE = 20_000
_LEFT_WITHIN_S = 30.0
_LOOK_S = 0.2
_MARKS_AT_ONCE = 500

SYNCED_S = 3.0
"""Within so long what Redis was told is on its disk, and on that of its journals."""


class OldRecords:
    """Removes what SQL holds of past invocations."""

    def __init__(
        self,
        retention: groups.Retention,
        server: servers.RedisServer,
        removing: removal.Removal,
        merger: rolling.Merger,
        taking: steps.Steps,
        synced_s: float = SYNCED_S,
    ) -> None:
        self._retention = retention
        self._server = server
        self._removing = removing
        self._merger = merger
        self._steps = taking
        self._synced_s = synced_s

    async def logs(self, now_ms: int) -> None:
        """Remove lines by age, then by size."""
        before_ms = policy.cut_ms(now_ms, self._retention.keep_logs_days)
        if before_ms is not None:
            await self._steps.until_none(lambda rows: self._removing.drop_logs_before(before_ms, rows))
        # By age first: what goes by that is not counted for the size.
        if self._retention.keep_logs_mb:
            size = self._retention.keep_logs_mb * 1024 * 1024
            await self._steps.until_none(lambda rows: self._removing.drop_logs_over(size, rows))

    async def rollups(self, now_ms: int) -> None:
        """Remove figures by the minute and by the hour; the longer ones hold what they did."""
        days = {spans.MINUTE_MS: self._retention.keep_minutes_days, spans.HOUR_MS: self._retention.keep_hours_days}
        for span_ms, kept_days in days.items():
            before_ms = policy.rollups_cut_ms(now_ms, kept_days)
            if before_ms is not None:
                drop = functools.partial(self._merger.drop, span_ms, before_ms)
                await self._steps.until_none(drop)

    async def letters(self, now_ms: int) -> None:
        """Remove dead letters, with the marks that keep them from being sent again twice, and undelivered records."""
        before_ms = policy.cut_ms(now_ms, self._retention.keep_dead_letters_days)
        if before_ms is None:
            return
        gone: list[str] = []

        def drop(rows: int) -> removal.Went:
            went = self._removing.drop_letters(before_ms, rows)
            gone.extend(went.ids)
            return went

        await self._steps.until_none(drop, policy.FEWEST_ROWS)
        for start in range(0, len(gone), _MARKS_AT_ONCE):
            await retiring.drop_marks(self._server, guards.DEAD_LETTERS, gone[start : start + _MARKS_AT_ONCE])
        await self._steps.until_none(lambda rows: self._removing.drop_undelivered(before_ms, rows), policy.FEWEST_ROWS)

    async def records(self, now_ms: int) -> None:
        """Remove records. Raises `errors.Unavailable` when Redis does not say what is on its way to the ledger."""
        before_ms = policy.cut_ms(now_ms, self._retention.keep_records_days)
        if before_ms is None:
            return
        await self._steps.until_none(lambda rows: self._removing.drop_chains(before_ms, rows))
        while not self._steps.stop.is_set():
            keys = await asyncio.to_thread(self._removing.old_records, before_ms, _AT_ONCE)
            if not keys or not await self._can_come_no_more():
                return
            await self._drop(keys)
            if len(keys) < _AT_ONCE:
                return

    async def _can_come_no_more(self) -> bool:
        """Wait until nothing can bring what is in the ledger now once more; False when no recorder gets on."""
        last = await retiring.last_record(self._server)
        until = clock.steady_s() + _LEFT_WITHIN_S
        while not await retiring.have_left(self._server, last):
            if clock.steady_s() > until or self._steps.stop.is_set():
                return False
            await self._steps.pause(_LOOK_S)
        await self._steps.pause(self._synced_s)
        return not self._steps.stop.is_set()

    async def _drop(self, keys: Sequence[removal.Key]) -> None:
        # The oldest first; they are taken from the end.
        left = list(reversed(keys))

        def drop(rows: int) -> removal.Went:
            return self._removing.drop_records([left.pop() for _ in range(min(rows, len(left)))])

        await self._steps.until_none(drop)
