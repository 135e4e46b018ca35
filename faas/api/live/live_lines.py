"""Lines as they are printed, for whoever follows them through this process: heard once, kept a while, given to many.

The newest are kept in memory with numbers of their own. A request that waits for lines says up to which number it has
seen, so nothing is kept for any one follower, and one that is slow finds what it missed in the ledger.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
from aiohttp import web

from faas.api import state
from faas.core import clock, errors, groups
from faas.core.logs import filters, log_lines, repeats
from faas.queue import keys as keyring
from faas.queue import live_lines

_MOST_BYTES = 8 * 1024 * 1024
_LINE_BYTES = 200
"""What a line takes beside its text."""

_WANTED_S = 10.0
"""How long lines are wanted after somebody asked for them: the next request comes sooner."""

_SAY_EVERY_S = 1.0
_TRY_AGAIN_S = 0.5
LOOK_EVERY_S = 0.2
"""The recorder that writes lines is another process, so a follower looks into the ledger this often."""

_PAGE = 1_000

FEW = 500
"""Lines that are looked at on the event loop; twenty conditions on each of more take longer than others may wait."""


class Heard(msgspec.Struct, frozen=True):
    """A line, what it says, the chain that it belongs to, and its number here."""

    number: int
    root_id: str
    row: log_lines.LogRow
    facts: log_lines.LineFacts


class Place(msgspec.Struct, frozen=True):
    """How far a follower has come: in the ledger, and among what was heard by the process of this name."""

    id: int = 0
    number: int = 0
    heard_by: str = ""

    def __str__(self) -> str:
        return f"{self.id}-{self.number}-{self.heard_by}" if self.heard_by else str(self.id)


def place(text: str) -> Place:
    """What `Place` wrote, or an id alone. Raises `errors.BadRequest`."""
    id, _, rest = text.partition("-")
    number, _, heard_by = rest.partition("-")
    if not all(part.isdecimal() and len(part) < 19 for part in (id, number or "0")):
        raise errors.BadRequest(f"query: after: {text[:50]!r} is no place", hint="give what `next` of an answer says")
    return Place(int(id), int(number or 0), heard_by)


class LineHearing:
    """Hears lines while somebody wants them."""

    def __init__(self, redis: groups.Redis) -> None:
        self._redis = redis
        self._keys = keyring.Keys(redis.redis_prefix)
        self._me = secrets.token_hex(4)
        self._heard: collections.deque[Heard] = collections.deque()
        self._bytes = 0
        self._number = 0
        self._wanted: dict[tuple[str, ...], float] = {}
        self._news = asyncio.Event()
        self._new_want = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    @property
    def now(self) -> int:
        """The number of the newest line."""
        return self._number

    def place(self, id: int) -> Place:
        """The place of somebody who has all that is here, and the ledger up to ``id``."""
        return Place(id, self._number, self._me)

    def want(self, functions: Sequence[str]) -> None:
        """Hear lines of these functions (of all, when there are none) from now on, for a while."""
        key = tuple(sorted(set(functions)))
        is_new = key not in self._wanted
        self._wanted[key] = clock.steady_s() + _WANTED_S
        if is_new:
            self._new_want.set()
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="live lines")

    def newer(self, seen: Place, wanted: filters.LogFilter) -> list[Heard]:
        """What was heard after a place, in order. Of a place in another process all that is here is after it."""
        after = seen.number if seen.heard_by == self._me else 0
        if wanted.statuses or after >= self._number:  # how an attempt ends nobody knows while it runs
            return []
        found = list(itertools.takewhile(lambda heard: heard.number > after, self._newest_first()))
        return found[::-1]

    def since(self, seen: Place, wanted: filters.LogFilter) -> list[log_lines.LogRow]:
        """The lines after a place that fit, if there are few to look at: see `FEW`."""
        return fitting(self.newer(seen, wanted), wanted)

    async def wait(self, seen: Place, wanted: filters.LogFilter, within_s: float) -> None:
        """Until there is something after a place that fits, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self.since(seen, wanted):
                    # What does not fit is not looked at again.
                    seen = self.place(seen.id)
                    await self._news.wait()

    async def close(self) -> None:
        """Stop hearing of lines."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait({self._working})

    def _newest_first(self) -> Iterator[Heard]:
        return reversed(self._heard)

    async def _work(self) -> None:
        """Say what is wanted and hear it, until nobody wants anything."""
        while self._still_wanted():
            lines = live_lines.HeardLines(self._redis.redis_url, self._keys)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._say(lines))
                    both.create_task(self._hear(lines))
            except* errors.Unavailable:
                await asyncio.sleep(_TRY_AGAIN_S)
            finally:
                await lines.close()
        self._heard.clear()
        self._bytes = 0

    def _still_wanted(self) -> bool:
        now_s = clock.steady_s()
        self._wanted = {key: until_s for key, until_s in self._wanted.items() if until_s > now_s}
        return bool(self._wanted)

    async def _say(self, lines: live_lines.HeardLines) -> None:
        while self._still_wanted():
            self._new_want.clear()
            functions = None if () in self._wanted else tuple({name for key in self._wanted for name in key})
            await lines.want(live_lines.Want(self._me, functions, int(live_lines.WANTED_FOR_S * 1000)))
            with contextlib.suppress(TimeoutError):
                # Said again in time: a want lapses by itself, so that one of a killed process costs the nodes nothing
                # for long.
                await asyncio.wait_for(self._new_want.wait(), _SAY_EVERY_S)

    async def _hear(self, lines: live_lines.HeardLines) -> None:
        while self._still_wanted():
            for printed in await lines.next(_SAY_EVERY_S):
                self._take(printed)

    def _take(self, printed: live_lines.PrintedNow) -> None:
        for line in printed.lines:
            facts = log_lines.read(line.text)
            row = log_lines.LogRow(
                id=0,
                at_ms=line.at_ms,
                function=printed.function,
                revision=printed.revision,
                invocation_id=printed.invocation_id,
                attempt=printed.attempt,
                text=line.text,
                level=log_lines.level_name(facts.level),
                fields=facts.fields or None,
            )
            self._number += 1
            self._heard.append(Heard(self._number, printed.root_id, row, facts))
            self._bytes += row.characters + _LINE_BYTES
        while self._bytes > _MOST_BYTES:
            self._bytes -= self._heard.popleft().row.characters + _LINE_BYTES
        # Whoever waits is woken, and whoever comes later waits for what comes later.
        self._news.set()
        self._news.clear()


LIVE = web.AppKey("live_lines", LineHearing)


async def heard(app: web.Application) -> AsyncIterator[None]:
    """Have the lines for as long as the application lasts."""
    app[LIVE] = LineHearing(app[state.REDIS])
    yield
    await app[LIVE].close()


async def follow(
    app: web.Application, wanted: filters.LogFilter, after_id: int | None = None
) -> AsyncIterator[Sequence[log_lines.LogRow]]:
    """The lines that fit, as they are printed or recorded, each once; from now on, or from after a line.

    It goes on until it is closed. Raises `errors.Unavailable` when the ledger cannot be read.
    """
    live, store, seen = app[LIVE], app[state.LOGS], repeats.SeenLines()
    at = live.place(await asyncio.to_thread(store.last_id) if after_id is None else after_id)
    while True:
        # Before the ledger is read: what is printed meanwhile comes by this way or by the other, and `seen` lets none
        # pass twice.
        live.want(wanted.functions)
        found = await asyncio.to_thread(store.find, wanted, after_id=at.id, limit=_PAGE)
        heard_now, number = live.since(at, wanted), live.now
        at = msgspec.structs.replace(at, id=max(at.id, found.reached_id), number=number)
        if lines := seen.fresh([*found.lines, *heard_now]):
            yield lines
        elif not found.is_cut:
            await live.wait(at, wanted, LOOK_EVERY_S)


def fitting(heard: Sequence[Heard], wanted: filters.LogFilter) -> list[log_lines.LogRow]:
    """Those that fit."""
    return [each.row for each in heard if _fits(each, wanted)]


def _fits(heard: Heard, wanted: filters.LogFilter) -> bool:
    row = heard.row
    if wanted.root_id is not None and wanted.root_id not in (heard.root_id, row.invocation_id):
        return False
    return wanted.wants_line(row) and (not wanted.reads_text or wanted.wants_text(row.text, heard.facts))
