"""What a sandbox prints: read from its pipe as it comes, kept up to a limit, handed out per attempt.

What an import prints is the first attempt's. What threads and child processes print between attempts is passed on a
second after it came.

Reading never waits and takes a bounded number of bytes per turn of the event loop. Past the limit of kept bytes the
pipe is emptied into nothing, without a copy and at most every millisecond: who prints without end is slowed, and slows
nobody else.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from faas.core import clock, model

READ_BYTES = 64 * 1024
BETWEEN_BYTES = 16 * 1024
DISCARD_EVERY_S = 0.001
TELL_AFTER_S = 1.0
"""What is printed between attempts is passed on so long after it came, with what came meanwhile."""
MIN_BYTES_PER_PART = 32
_F_GETPIPE_SZ = 1032

Lines = tuple[model.LogLine, ...]


class Live(Protocol):
    """Whoever is shown lines as they are printed."""

    @property
    def is_on(self) -> bool:
        """Whether anybody wants them now."""

    def tell(self, lines: Lines, *, between: bool) -> None:
        """Take lines of the attempt that runs, or of the time ``between`` attempts. It must not block."""


class Log:
    """The first ``max_bytes`` of some output, and when its parts were read."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._offsets: list[int] = []
        self._times: list[int] = []
        self._told = 0
        self.dropped_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was printed."""
        return not self._data and not self.dropped_bytes

    @property
    def is_full(self) -> bool:
        """Whether nothing more will be kept."""
        return len(self._data) >= self._max_bytes

    def add(self, data: bytes, at_ms: int) -> None:
        """Keep as much as there is room for, and count the rest."""
        room = self._max_bytes - len(self._data)
        # One entry for each millisecond in which something came, whatever the number of writes.
        if room > 0 and (not self._times or self._times[-1] != at_ms):
            self._offsets.append(len(self._data))
            self._times.append(at_ms)
        self._data += data[:room]
        self.dropped_bytes += max(0, len(data) - room)

    def take(self) -> tuple[Lines, bool]:
        """The lines, and whether any were cut off (then the last line says so); the log is empty afterwards."""
        if self.is_empty:
            return (), False
        lines = self._lines()
        cut = bool(self.dropped_bytes)
        if cut:
            text = f"[log cut: {len(self._data)} bytes kept, {self.dropped_bytes} bytes dropped]"
            lines.append(model.LogLine(self._times[-1] if self._times else clock.now_ms(), text))
        self._data.clear()
        self._offsets.clear()
        self._times.clear()
        self._told = 0
        self.dropped_bytes = 0
        return tuple(lines), cut

    def untold(self, *, ended: bool) -> Lines:
        """The lines that have come since this was last asked; one that has no end yet only when all has ``ended``."""
        begin, end = self._told, len(self._data) if ended else self._data.rfind(b"\n", self._told) + 1
        if end <= begin:
            return ()
        self._told = end
        parts = self._data[begin : end - self._data.endswith(b"\n", begin, end)].split(b"\n")
        return tuple(self._timed(parts, begin))

    def _lines(self) -> list[model.LogLine]:
        return list(self._timed(self._parts(), 0))

    def _timed(self, parts: Sequence[bytearray], offset: int) -> Iterator[model.LogLine]:
        for part in parts:
            at_ms = self._times[bisect_right(self._offsets, offset) - 1]
            # PostgreSQL takes no NUL in a text.
            yield model.LogLine(at_ms, part.decode("utf-8", "replace").replace("\0", "\ufffd"))
            offset += len(part) + 1

    def _parts(self) -> list[bytearray]:
        """What was printed, line by line. Of very many short lines several are one part: each costs a row."""
        data = self._data
        # A quarter of a million empty lines would be as many rows in the ledger.
        if data.count(b"\n") <= self._max_bytes // MIN_BYTES_PER_PART:
            parts = data.split(b"\n")
            return parts if parts[-1] else parts[:-1]
        parts, begin = [], 0
        while begin < len(data):
            end = data.find(b"\n", begin + MIN_BYTES_PER_PART - 1)
            end = len(data) - data.endswith(b"\n") if end < 0 else end
            parts.append(data[begin:end])
            begin = end + 1
        return parts


class Telling:
    """Shows what comes into a sandbox's logs to whoever follows it now, as it comes."""

    def __init__(self, attempt: Log, between: Between) -> None:
        self.live: Live | None = None
        """Set when the sandbox holds a function: before that nobody could ask for what it prints."""
        self._attempt = attempt
        self._between = between

    def begin(self) -> None:
        """The first attempt begins: what the import printed is the beginning of its log."""
        if self.live is not None and self.live.is_on and self._between.first:
            self.live.tell(self._between.first, between=False)

    def tell(self, log: Log, *, ended: bool = False) -> None:
        """Something has come into a log, or all has that will."""
        # What is printed before the first attempt is told with that.
        if self.live is None or not self.live.is_on or (log is not self._attempt and self._between.first is not None):
            return
        if lines := log.untold(ended=ended):
            self.live.tell(lines, between=log is not self._attempt)


class Between:
    """What a sandbox prints while no attempt runs: passed on a second after it came, or kept for the first attempt."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_between: Callable[[Lines], None],
        on_told: Callable[[], None],
    ) -> None:
        self.log = Log(BETWEEN_BYTES)
        self._loop = loop
        self._on_between = on_between
        self._on_told = on_told
        self.first: Lines | None = None
        """What the first attempt's log is to begin with; None when it has begun, or there is none to come."""
        self._telling: asyncio.TimerHandle | None = None

    def came(self) -> None:
        """Something may have come into the log: pass it on in a while, unless the first attempt is to have it."""
        if self.first is None and self._telling is None and not self.log.is_empty:
            self._telling = self._loop.call_later(TELL_AFTER_S, self._tell_now)

    def put_first(self, lines: Lines) -> None:
        """Let the next attempt's log begin with these: what was printed by the import that nobody has waited for."""
        self.first = lines

    def with_first(self, lines: Lines) -> Lines:
        """An attempt's log, with what it is to begin with."""
        if self.first is not None:
            lines, self.first = self.first + lines, None
        return lines

    def tell(self) -> None:
        """Pass on what was printed since the last attempt, or keep it for the first one."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self.log.is_empty:
            return
        lines, _cut = self.log.take()
        if self.first is not None:
            self.first += lines
        else:
            self._on_between(lines)

    def _tell_now(self) -> None:
        self._telling = None
        self.tell()
        self._on_told()

    def close(self) -> None:
        """Pass on all that is here, also what no attempt came for. Safe to call twice."""
        lines, self.first = self.first or (), None
        if lines:
            self._on_between(lines)
        self.tell()


class Output:
    """The reading end of a sandbox's pipe, which it owns. What comes between attempts goes to ``on_between``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pipe: int, max_bytes: int, on_between: Callable[[Lines], None]
    ) -> None:
        # The flag belongs to this end alone: the function's end keeps waiting for room as its code expects.
        os.set_blocking(pipe, False)
        self._loop = loop
        self._pipe = pipe
        # A look at an empty pipe costs 0.4 us so, and 1.1 us by a read that fails: two of them are in every attempt.
        look = select.poll()
        look.register(pipe, select.POLLIN)
        self._look = look.poll
        # No more than this was in the pipe at any moment, so that to empty it is bounded by it.
        self._capacity = fcntl.fcntl(pipe, _F_GETPIPE_SZ)
        self._attempt = Log(max_bytes)
        self._between = Between(loop, on_between, self._has_room_again)
        self._log = self._between.log
        self._told = Telling(self._attempt, self._between)
        self._nowhere = -1
        self._discarding: asyncio.TimerHandle | None = None
        self._ended = False
        loop.add_reader(pipe, self._on_readable)

    def begin(self, *, at_once: bool = False) -> None:
        """An attempt begins: what is in the pipe was printed before it.

        The pipe of one that begins ``at_once``, in the same step as the one before it ended, was looked at just now.
        """
        if not at_once:
            self._empty()
        self._between.tell()
        self._turn_to(self._attempt)
        if self._between.first is not None:
            self._told.begin()

    def show(self, live: Live) -> None:
        """Show what is printed from now on to somebody, too, while he wants it."""
        self._told.live = live

    def take(self) -> tuple[Lines, bool]:
        """An attempt has ended: all it printed, and whether the log is cut."""
        self._empty()
        self._turn_to(self._between.log)
        if not self._attempt.is_empty:
            self._told.tell(self._attempt, ended=True)
        lines, cut = self._attempt.take()
        return self._between.with_first(lines), cut

    def put_first(self, lines: Lines) -> None:
        """See `Between.put_first`."""
        self._between.put_first(lines)

    def _has_room_again(self) -> None:
        if self._log is self._between.log:
            self._turn_to(self._log)

    def close(self) -> None:
        """Stop reading. Safe to call twice."""
        if self._pipe < 0:
            return
        self._empty()
        self._stop()
        os.close(self._pipe)
        if self._nowhere >= 0:
            os.close(self._nowhere)
        self._pipe = self._nowhere = -1
        self._between.close()

    def _turn_to(self, log: Log) -> None:
        self._log = log
        if self._discarding is not None and not log.is_full and not self._ended:
            self._discarding.cancel()
            self._discarding = None
            self._loop.add_reader(self._pipe, self._on_readable)

    def _on_readable(self) -> None:
        self._read()
        if self._log is self._between.log:
            self._between.came()
        if self._log.is_full and not self._ended and self._discarding is None:
            self._loop.remove_reader(self._pipe)
            self._discarding = self._loop.call_later(DISCARD_EVERY_S, self._discard_more)

    def _discard_more(self) -> None:
        self._discard()
        if not self._ended:
            self._discarding = self._loop.call_later(DISCARD_EVERY_S, self._discard_more)

    def _empty(self) -> None:
        """Take what is in the pipe now; what is printed meanwhile may be more than would ever end."""
        if not self._look(0):
            return
        left = self._capacity
        while left > 0 and not self._ended:
            most = min(READ_BYTES, left)
            read = self._discard() if self._log.is_full else self._read()
            left -= read
            if read < most:
                return

    def _read(self) -> int:
        try:
            data = os.read(self._pipe, READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self._stop()
            return 0
        self._log.add(data, clock.now_ms())
        self._told.tell(self._log)
        return len(data)

    def _discard(self) -> int:
        if self._nowhere < 0:
            self._nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            # The pages of the pipe are given up by the kernel; nothing of them comes here.
            moved = os.splice(self._pipe, self._nowhere, self._capacity, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return 0
        if not moved:
            self._stop()
        self._log.dropped_bytes += moved
        return moved

    def _stop(self) -> None:
        """Every writing end is closed, or nobody wants to read on."""
        self._ended = True
        if self._discarding is not None:
            self._discarding.cancel()
            self._discarding = None
        else:
            self._loop.remove_reader(self._pipe)
