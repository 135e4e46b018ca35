"""Finding what alarms are on: roll-ups and dead letters in SQL, places in Redis, the disk, facts. Only what is wanted.

No record and no log line is read. What one of them costs grows with the alarms and the functions that were active
within their windows, and not with what is kept.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa

from faas.alerts import figures
from faas.core import errors, groups
from faas.health import facts, looks
from faas.queue import census, inlet
from faas.store import dead_letters, rollups

_MINUTE_MS = 60_000
_SEVERITIES = (facts.Severity.OK, facts.Severity.UNKNOWN, facts.Severity.WARNING, facts.Severity.FAILED)
"""From the best to the worst: of several facts of one name the worst counts."""


class Gatherer:
    """Finds what is wanted, of one platform."""

    def __init__(self, data: groups.Data, door: inlet.Inlet, engine: sa.Engine, platform: looks.Looks) -> None:
        self._data = data
        self._door = door
        self._rollups = rollups.Rollups(engine)
        self._letters = dead_letters.DeadLetters(engine)
        self._looks = platform

    async def gather(self, wanted: figures.Wanted, at_ms: int) -> figures.SeenPlatform:
        """All that is wanted. Raises `errors.Unavailable` while the database does not answer; Redis may be away."""
        attempts, dead = await asyncio.to_thread(self._of_database, wanted, at_ms)
        places, why = await self._places() if wanted.places else (None, "")
        return figures.SeenPlatform(
            at_ms=at_ms,
            attempts=attempts,
            spans_ms={over_ms: at_ms - begin_ms(at_ms, over_ms) for over_ms in _spans(wanted)},
            dead=dead,
            places=places,
            disk=await asyncio.to_thread(disk, self._data) if wanted.disk else None,
            facts=by_name(await self._looks.look(thorough=False)) if wanted.facts else None,
            why=why,
        )

    def _of_database(
        self, wanted: figures.Wanted, at_ms: int
    ) -> tuple[dict[figures.Window, figures.Attempts], dict[int, Mapping[str, int]]]:
        found: dict[figures.Window, figures.Attempts] = {}
        for over_ms in sorted(_spans(wanted)):
            since_ms, until_ms = begin_ms(at_ms, over_ms), at_ms + 1
            windows = [window for window in wanted.windows if window.over_ms == over_ms]
            alone = [window.functions[0] for window in windows if len(window.functions) == 1]
            is_each = over_ms in wanted.each_over_ms
            # One question for all that are wanted by themselves, however many alarms these have.
            if is_each or alone:
                names = None if is_each else alone
                for each in self._rollups.summary(since_ms, until_ms, "function", names):
                    found[figures.Window(over_ms, (each.name,))] = _attempts(each.figures)
            for window in windows:
                if len(window.functions) != 1:
                    for each in self._rollups.summary(since_ms, until_ms, "all", window.functions or None):
                        found[window] = _attempts(each.figures)
        return found, {over_ms: self._letters.counts_since(at_ms - over_ms) for over_ms in wanted.dead_over_ms}

    async def _places(self) -> tuple[dict[str, figures.QueueFigures] | None, str]:
        try:
            return of_functions(await self._door.call(census.places)), ""
        except errors.Unavailable as error:
            return None, error.message


def _spans(wanted: figures.Wanted) -> set[int]:
    return {window.over_ms for window in wanted.windows} | wanted.each_over_ms


def begin_ms(at_ms: int, over_ms: int) -> int:
    """When a window begins: on a whole minute, as roll-ups do, so that it is never shorter than was asked for."""
    return (at_ms - over_ms) // _MINUTE_MS * _MINUTE_MS


def _attempts(found: rollups.Figures) -> figures.Attempts:
    durations = {name: getattr(found.duration_us, name) for name in ("p50", "p90", "p99", "p999")}
    sums = {name: getattr(found, name) for name in ("count", "errors", "cold_starts", "cost_pico")}
    return figures.Attempts(**sums, **durations)


def of_functions(found: Mapping[str, census.Places]) -> dict[str, figures.QueueFigures]:
    """Places by function; drift by its amount, so that what one revision lacks cannot hide what another has twice."""
    held: dict[str, figures.QueueFigures] = {}
    for ref, places in found.items():
        name = ref.rpartition("@")[0]
        before = held.get(name, figures.QueueFigures())
        held[name] = msgspec.structs.replace(
            before,
            waiting=before.waiting + places.counts.waiting,
            oldest_ms=max(before.oldest_ms, places.oldest_waiting_ms),
            drift=before.drift + abs(places.counts.drift),
        )
    return held


def disk(data: groups.Data) -> figures.Disk | None:
    """The disk of the data directory; None when it does not say. Blocks."""
    try:
        found = shutil.disk_usage(data.root)
    except OSError:
        return None
    return figures.Disk(found.used, found.free)


def by_name(found: Iterable[facts.Fact]) -> dict[str, tuple[str, str]]:
    """Facts by the names that rules have for them: state and text of the worst of each name."""
    named: dict[str, list[facts.Fact]] = defaultdict(list)
    for fact in found:
        named[_name(fact)].append(fact)
    worst = {name: max(several, key=lambda fact: _SEVERITIES.index(fact.state)) for name, several in named.items()}
    return {name: (fact.state.value, fact.text) for name, fact in worst.items()}


def _name(fact: facts.Fact) -> str:
    """``process api`` is one of ``processes``, and ``bucket`` of ``buckets``."""
    first = fact.name.partition(" ")[0]
    return {"process": "processes", "bucket": "buckets"}.get(first, fact.name)
