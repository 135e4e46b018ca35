"""What a sandbox on another machine prints: frames that say in which attempt it was printed.

The sandbox is told how much is kept, and sends no more; what it had to drop it counts. So one that sends more than that
is none of ours, and a function that prints without end costs the runner no more than its log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from faas.core import clock
from runners.sandbox import frames, output


def most_bytes(max_log_bytes: int) -> int:
    """What a sandbox may send of the output of one attempt and of the time until the next."""
    return max_log_bytes + output.BETWEEN_BYTES


class FramedOutput:
    """The output of one sandbox. What comes between attempts goes to ``on_between``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, max_log_bytes: int, on_between: Callable[[output.Lines], None]
    ) -> None:
        self._attempt = output.Log(max_log_bytes)
        self._between = output.Between(loop, on_between, _nothing)
        self._told = output.Telling(self._attempt, self._between)
        self._most = most_bytes(max_log_bytes)
        self._number = 0
        self._is_running = False
        self._last = 0
        self._left = self._most

    def begin(self, *, at_once: bool = False) -> None:
        """An attempt begins: what comes of an earlier one was printed before it."""
        self._between.tell()
        self._number += 1
        self._is_running = True
        self._told.begin()

    def show(self, live: output.Live) -> None:
        """See `output.Output.show`."""
        self._told.live = live

    def take(self) -> tuple[output.Lines, bool]:
        """An attempt has ended, and its answer came after all that it printed: that, and whether the log is cut."""
        self._is_running = False
        self._told.tell(self._attempt, ended=True)
        lines, cut = self._attempt.take()
        return self._between.with_first(lines), cut

    def put_first(self, lines: output.Lines) -> None:
        """See `output.Between.put_first`."""
        self._between.put_first(lines)

    def add(self, frame: frames.Output, body: bytes) -> None:
        """Something was printed. Raises `frames.BrokenProtocol` for more than the sandbox may send."""
        # A sandbox counts attempts as its runner does, and frames come in order: what goes back or ahead is forged.
        if not self._last <= frame.number <= self._number:
            raise frames.BrokenProtocol("output of an attempt that is not now")
        if frame.number > self._last:
            self._last, self._left = frame.number, self._most
        self._left -= len(body)
        if self._left < 0:
            raise frames.BrokenProtocol("more output than is kept")
        # What comes with the number of an attempt that has ended was printed by what that left running.
        is_of_attempt = self._is_running and frame.number == self._number
        log = self._attempt if is_of_attempt else self._between.log
        log.add(body, clock.now_ms())
        log.dropped_bytes += frame.dropped
        self._told.tell(log)
        if not is_of_attempt:
            self._between.came()

    def close(self) -> None:
        """Nothing more comes. Safe to call twice."""
        self._between.close()


def _nothing() -> None:
    """Whoever prints too much is told so by itself: nothing is held up."""
