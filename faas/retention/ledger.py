"""Records, log lines, roll-ups, dead letters and undelivered records that are past their time.

A record is removed only when the entry that brought it has left Redis, and some seconds later. A recorder that found
the entry again would write the record anew, and bill it twice: that is when another died before it acknowledged, or the
machine lost its power and Redis its last second.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from faas.core import clock, groups, keeping
from faas.queue import guards, retiring
from faas.queue import server as servers
from faas.retention import policy, steps
from faas.store import removal, rolling, spans

_AT_ONCE = 20_000
_LEFT_WITHIN_S = 30.0
_LOOK_S = 0.2
_MARKS_AT_ONCE = 500
_PASSED_AT_ONCE = 2_000
_T = TypeVar("_T")

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
        self._passed_lines = _Passes[removal.LinePlace]((0, 0))
        self._passed_records = _Passes[removal.Place]((0, "", 0))

    async def logs(self, now_ms: int, terms: keeping.Terms) -> None:
        """Remove lines by age, then by size."""
        own, of_all = terms.own(keeping.KeepKind.LOGS), terms.of_all(keeping.KeepKind.LOGS)
        for function, term in own.items():
            before_ms = term.cut_ms(now_ms)
            if before_ms is not None:
                await self._steps.until_none(functools.partial(self._removing.drop_logs_of, function, before_ms))
        await self._other_logs(of_all.cut_ms(now_ms), own.keys())
        # By age first: what goes by that is not counted for the size.
        if self._retention.keep_logs_mb:
            size = self._retention.keep_logs_mb * 1024 * 1024
            await self._steps.until_none(lambda rows: self._removing.drop_logs_over(size, rows))

    async def _other_logs(self, before_ms: int | None, but: Collection[str]) -> None:
        if before_ms is None:
            return
        if not but:
            await self._steps.until_none(lambda rows: self._removing.drop_logs_before(before_ms, rows))
            return
        place = self._passed_lines.get(but)
        while not self._steps.stop.is_set():
            passed = await asyncio.to_thread(self._removing.pass_logs, place, before_ms, _PASSED_AT_ONCE)
            if not passed.found:
                break
            left = [id for function, id in passed.found if function not in but]
            await self._drop_lines(left)
            if self._steps.stop.is_set():
                break  # not all of them went
            place = passed.place
            self._passed_lines.put(but, place)

    async def _drop_lines(self, left: list[int]) -> None:
        await self._steps.until_none(lambda rows: self._removing.drop_lines(_taken(left, rows)))

    async def rollups(self, now_ms: int, terms: keeping.Terms) -> None:
        """Remove figures by the minute and by the hour; the longer ones hold what they did."""
        kinds = {spans.MINUTE_MS: keeping.KeepKind.MINUTES, spans.HOUR_MS: keeping.KeepKind.HOURS}
        for span_ms, kind in kinds.items():
            before_ms = policy.rollups_cut_ms(now_ms, terms.of_all(kind).keep_ms)
            if before_ms is not None:
                drop = functools.partial(self._merger.drop, span_ms, before_ms)
                await self._steps.until_none(drop)

    async def letters(self, now_ms: int, terms: keeping.Terms) -> None:
        """Remove dead letters, with the marks that keep them from being sent again twice, and undelivered records."""
        own = terms.own(keeping.KeepKind.DEAD_LETTERS)
        for function, term in own.items():
            await self._letters(term.cut_ms(now_ms), removal.Whose(function))
        of_all = terms.of_all(keeping.KeepKind.DEAD_LETTERS)
        await self._letters(of_all.cut_ms(now_ms), removal.Whose(but=tuple(own)))

    async def _letters(self, before_ms: int | None, whose: removal.Whose) -> None:
        if before_ms is None:
            return
        gone: list[str] = []

        def drop(rows: int) -> removal.Went:
            went = self._removing.drop_letters(before_ms, rows, whose)
            gone.extend(went.ids)
            return went

        await self._steps.until_none(drop, policy.FEWEST_ROWS)
        for start in range(0, len(gone), _MARKS_AT_ONCE):
            await retiring.drop_marks(self._server, guards.DEAD_LETTERS, gone[start : start + _MARKS_AT_ONCE])
        drop_undelivered = functools.partial(self._drop_undelivered, before_ms, whose)
        await self._steps.until_none(drop_undelivered, policy.FEWEST_ROWS)

    def _drop_undelivered(self, before_ms: int, whose: removal.Whose, rows: int) -> removal.Went:
        return self._removing.drop_undelivered(before_ms, rows, whose)

    async def records(self, now_ms: int, terms: keeping.Terms) -> None:
        """Remove records. Raises `errors.Unavailable` when Redis does not say what is on its way to the ledger."""
        own = terms.own(keeping.KeepKind.RECORDS)
        chains_ms = policy.cut_ms(now_ms, terms.longest_ms(keeping.KeepKind.RECORDS))
        if chains_ms is not None:
            await self._steps.until_none(lambda rows: self._removing.drop_chains(chains_ms, rows))
        for function, term in own.items():
            await self._old_records(term.cut_ms(now_ms), function)
        before_ms = terms.of_all(keeping.KeepKind.RECORDS).cut_ms(now_ms)
        if own:
            await self._other_records(before_ms, own.keys())
        else:
            await self._old_records(before_ms)

    async def _old_records(self, before_ms: int | None, function: str | None = None) -> None:
        while before_ms is not None and not self._steps.stop.is_set():
            keys = await asyncio.to_thread(self._removing.old_records, before_ms, _AT_ONCE, function)
            if not keys or not await self._can_come_no_more():
                return
            await self._drop(keys)
            if len(keys) < _AT_ONCE:
                return

    async def _other_records(self, before_ms: int | None, but: Collection[str]) -> None:
        place = self._passed_records.get(but)
        while before_ms is not None and not self._steps.stop.is_set():
            passed = await asyncio.to_thread(self._removing.pass_records, place, before_ms, _AT_ONCE)
            keys = [key for function, key in passed.found if function not in but]
            if not passed.found or (keys and not await self._can_come_no_more()):
                return
            await self._drop(keys)
            if self._steps.stop.is_set():
                return  # not all of them went
            place = passed.place
            self._passed_records.put(but, place)

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
        await self._steps.until_none(lambda rows: self._removing.drop_records(_taken(left, rows)))


def _taken(left: list[_T], rows: int) -> list[_T]:
    """Take so many from the end."""
    return [left.pop() for _ in range(min(rows, len(left)))]


class _Passes(Generic[_T]):
    """Up to where was looked in vain among what some functions keep longer, for as long as the same functions do.

    It is for this process alone: another one begins at the oldest again.
    """

    def __init__(self, first: _T) -> None:
        self._first = first
        self._of: frozenset[str] = frozenset()
        self._place = first

    def get(self, but: Collection[str]) -> _T:
        """The place to go on from."""
        return self._place if self._of == frozenset(but) else self._first

    def put(self, but: Collection[str], place: _T) -> None:
        """Remember it."""
        self._of, self._place = frozenset(but), place
