"""Shows lines of running attempts to whoever says that he wants them, as they are printed.

While nobody does, an attempt that prints asks whether anybody does, one that prints nothing asks nothing, and Redis
hears of neither. What is printed within a few milliseconds is sent together. More than `MOST_BYTES_S` a second is not
sent at all: those lines are seen when their attempt has ended.
"""

from __future__ import annotations

import asyncio
import logging

from faas.core import clock, errors
from faas.queue import invocations, live_lines
from runners import slot as slots
from runners.sandbox import output

MOST_BYTES_S = 2 * 1024 * 1024
"""What one node sends in a second, in characters and what each line takes beside them."""

_GATHER_S = 0.02
_LINE_BYTES = 64
_LOOK_S = 1.0
_TRY_AGAIN_S = 0.5
_MOST_WANTS = 1_000

_log = logging.getLogger(__name__)


class LiveLines:
    """Who wants what of one node, and what is about to be sent."""

    def __init__(self, queue: invocations.Queue, redis_url: str) -> None:
        self.is_on = False
        """Whether anybody wants anything."""
        self._queue = queue
        self._redis_url = redis_url
        self._wants: dict[str, tuple[frozenset[str] | None, float]] = {}
        self._loop = asyncio.get_running_loop()
        self._gathered: list[live_lines.PrintedNow] = []
        self._left = float(MOST_BYTES_S)
        self._filled_s = clock.steady_s()

    def wants(self, function: str) -> bool:
        """Whether anybody wants the lines of a function."""
        return any(functions is None or function in functions for functions, _ in self._wants.values())

    def of(self, slot: slots.Slot, function: str) -> output.Live:
        """What shows the lines of one slot."""
        return _SlotLines(self, slot, function)

    def add(self, printed: live_lines.PrintedNow) -> None:
        """Send these soon, if there is room."""
        size = sum(len(line.text) + _LINE_BYTES for line in printed.lines)
        now_s = clock.steady_s()
        self._left = min(self._left + (now_s - self._filled_s) * MOST_BYTES_S, MOST_BYTES_S)
        self._filled_s = now_s
        if size > self._left:
            return
        self._left -= size
        if not self._gathered:
            self._loop.call_later(_GATHER_S, self._send)
        self._gathered.append(printed)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        # Nobody waits for an answer, and while Redis is away it is as if nobody had asked.
        self._queue.link.tell("PUBLISH", self._queue.keys.live_lines, live_lines.packed(gathered))

    async def listen(self) -> None:
        """Hear who wants what, until cancelled."""
        while True:
            wants = live_lines.Wants(self._redis_url, self._queue.keys)
            try:
                while True:
                    want = await wants.next(_LOOK_S if self.is_on else None)
                    if want is not None:
                        self.hear(want)
                    self._forget()
            except errors.Unavailable as error:
                _log.debug("wants_not_heard", extra={"reason": error.message})
                self._wants.clear()
                self.is_on = False
            finally:
                await wants.close()
            await asyncio.sleep(_TRY_AGAIN_S)

    def hear(self, want: live_lines.Want) -> None:
        """Somebody wants lines for a while."""
        if want.by in self._wants or len(self._wants) < _MOST_WANTS:
            functions = None if want.functions is None else frozenset(want.functions)
            self._wants[want.by] = (functions, clock.steady_s() + want.for_ms / 1000)
        self.is_on = True

    def _forget(self) -> None:
        now_s = clock.steady_s()
        self._wants = {by: want for by, want in self._wants.items() if want[1] > now_s}
        self.is_on = bool(self._wants)


class _SlotLines:
    """See `output.Live`."""

    __slots__ = ("_function", "_lines", "_slot")

    def __init__(self, lines: LiveLines, slot: slots.Slot, function: str) -> None:
        self._lines = lines
        self._slot = slot
        self._function = function

    @property
    def is_on(self) -> bool:
        """See `output.Live.is_on`."""
        return self._lines.is_on and self._lines.wants(self._function)

    def tell(self, lines: output.Lines, *, between: bool) -> None:
        """See `output.Live.tell`."""
        self._lines.add(self._slot.printed_now(lines, between=between))
