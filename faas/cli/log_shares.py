"""How much of a platform's log one function may fill: so many bytes a minute, and what is left out is counted.

A function fills the log by what it prints between attempts, by failing to load, by objects that it writes. Lines that
belong to no function are the platform's own, and always written.
"""

from __future__ import annotations

import logging
from typing import TextIO

from faas.core import clock

LINE_BYTES = 32 * 1024
"""What is kept of one line, tracebacks included."""

_MINUTE_S = 60.0
_MOST_KNOWN = 10_000


class Share:
    """What one function may still write, by seconds that only grow; it fills up again within a minute."""

    __slots__ = ("_at_s", "_left", "_most", "left_out")

    def __init__(self, most_bytes: int, now_s: float) -> None:
        self.left_out = 0
        """Lines that were not written since the last that was."""
        self._most = most_bytes
        self._left = float(most_bytes)
        self._at_s = now_s

    def may_write(self, now_s: float) -> bool:
        """Whether there is something left. Who may begin a line may end it."""
        self._left = min(self._left + (now_s - self._at_s) / _MINUTE_S * self._most, self._most)
        self._at_s = now_s
        # After a while of silence a piece is written again, not a line each time that one fits.
        return self._left > (self._most / 4 if self.left_out else 0)

    def wrote(self, size: int) -> None:
        """Count bytes that were written."""
        self._left -= size

    def is_whole(self, now_s: float) -> bool:
        """Whether nothing would change if it were forgotten."""
        return not self.left_out and (now_s - self._at_s) > _MINUTE_S


class LogShares:
    """The shares of all functions that write to one log; 0 ``most_bytes`` bounds none."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._shares: dict[str, Share] = {}

    def of(self, owner: str, now_s: float) -> Share | None:
        """A function's share; None when nothing is bounded."""
        if not self._most_bytes:
            return None
        share = self._shares.get(owner)
        if share is None:
            if len(self._shares) >= _MOST_KNOWN:
                self._forget(now_s)
            share = self._shares[owner] = Share(self._most_bytes, now_s)
        return share

    def _forget(self, now_s: float) -> None:
        kept = {owner: share for owner, share in self._shares.items() if not share.is_whole(now_s)}
        # Where more functions write than are known, the ones known longest begin anew: better than to grow without end.
        self._shares = dict(list(kept.items())[-_MOST_KNOWN // 2 :])


class Handler(logging.StreamHandler[TextIO]):
    """Writes events to a stream, as far as their functions' shares go."""

    def __init__(self, most_bytes: int, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._shares = LogShares(most_bytes)
        self._written = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the event, or count it."""
        owner, now_s = owner_of(record), clock.steady_s()
        share = self._shares.of(owner, now_s) if owner else None
        if share is None:
            super().emit(record)
            return
        if not share.may_write(now_s):
            share.left_out += 1
            return
        if share.left_out:
            super().emit(_left_out(owner, share.left_out))
            share.left_out = 0
        super().emit(record)
        share.wrote(self._written)

    def format(self, record: logging.LogRecord) -> str:
        """The line, cut where it is too long."""
        text = super().format(record)
        if len(text) > LINE_BYTES:
            text = f"{text[:LINE_BYTES]} [cut: {len(text)} characters]"
        self._written = len(text)
        return text


def owner_of(record: logging.LogRecord) -> str:
    """The function, or the bucket, that a line belongs to; empty when it is the platform's own."""
    for field in ("function", "revision", "bucket"):
        value = getattr(record, field, None)
        if isinstance(value, str) and value:
            return value.partition("@")[0]
    return ""


def _left_out(owner: str, lines: int) -> logging.LogRecord:
    record = logging.LogRecord(__name__, logging.WARNING, "", 0, "log_lines_left_out", (), None)
    record.function, record.lines = owner, lines
    return record
