"""Merges what was recorded into figures by minute, hour and day, every few seconds; and records of before, once.

Nothing waits for it: what is not merged yet is read as it is. It may be killed at any moment (`faas.store.rolling`).
"""

from __future__ import annotations

import asyncio
import logging

import sqlalchemy as sa

from faas.core import clock, errors, groups
from faas.recorder import following
from faas.store import database, rolling

LOOK_S = 2.0
MERGE_EVERY_S = 15.0
MOST_GROUPS = 200_000
"""So many groups are merged at once, and not left waiting. It is a rate that no machine of ours reaches for long."""

_SHARE = 4
"""After a step so many times its length is left to those who record."""

_log = logging.getLogger("faas.recorder")


def is_due(waiting: rolling.UnmergedParts, since_s: float) -> bool:
    """Whether to merge now, so long after the last time. The longer it waits, the less it costs."""
    return waiting.groups >= MOST_GROUPS or (waiting.parts > 0 and since_s >= MERGE_EVERY_S)


async def run(data: groups.Data, stop: asyncio.Event, look_s: float = LOOK_S) -> None:
    """Merge until ``stop`` is set. While the database is away, say so once and try again."""
    is_away = False
    while not stop.is_set():
        try:
            engine = await asyncio.to_thread(database.open_database, data)
            try:
                await _Merging(engine, stop, look_s).run()
            finally:
                await asyncio.to_thread(engine.dispose)
        except (errors.FaasError, sa.exc.SQLAlchemyError) as error:
            if not is_away:
                _log.warning("rollups_wait", extra={"reason": str(error).partition("\n")[0]})
            is_away = True
            await following.pause(stop, look_s)


class _Merging:
    def __init__(self, engine: sa.Engine, stop: asyncio.Event, look_s: float) -> None:
        self._merger = rolling.Merger(engine)
        self._stop = stop
        self._look_s = look_s
        self._merged_at_s = clock.steady_s()
        self._may_fill = True

    async def run(self) -> None:
        while not self._stop.is_set():
            await following.pause(self._stop, self._look_s)
            waiting = await asyncio.to_thread(self._merger.waiting)
            if is_due(waiting, clock.steady_s() - self._merged_at_s):
                await self._merge()
            elif self._may_fill:
                await self._fill()

    async def _merge(self) -> None:
        """Merge all that is there."""
        while not self._stop.is_set():
            began_s = clock.steady_s()
            if not await asyncio.to_thread(self._merger.merge, MOST_GROUPS):
                break
            await self._rest(began_s)
        self._merged_at_s = clock.steady_s()

    async def _fill(self) -> None:
        """Add records of before, until there is enough to merge."""
        waiting = 0
        while self._may_fill and waiting < MOST_GROUPS and not self._stop.is_set():
            began_s = clock.steady_s()
            self._may_fill = await asyncio.to_thread(self._merger.fill)
            waiting = (await asyncio.to_thread(self._merger.waiting)).groups
            await self._rest(began_s)

    async def _rest(self, began_s: float) -> None:
        await following.pause(self._stop, min(1.0, _SHARE * (clock.steady_s() - began_s)))
