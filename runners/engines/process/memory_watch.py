"""Watching the memory of a process that no kernel limit bounds: often while an attempt runs, seldom while it is idle.

From the begin of an attempt on the process is looked at every `LOOK_EVERY_S`, and once more after the attempt's end.
While it stays idle each look comes twice as late as the one before. So hundreds of idle processes cost next to nothing,
and what a thread takes that an attempt left behind is found all the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from faas.core import model
from runners.sandbox import base

LOOK_EVERY_S = 0.05
IDLE_LOOK_EVERY_S = 30.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Channel(Protocol):
    """The part of a sandbox's channel that is watched."""

    @property
    def is_busy(self) -> bool:
        """Whether a load or an attempt is under way."""

    def run(self, invocation: model.Invocation, then: base.Then) -> None:
        """See `base.Sandbox.run`."""


def next_look_s(last_s: float, *, is_busy: bool) -> float:
    """How long to wait before the next look, when one waited ``last_s`` for this one."""
    return LOOK_EVERY_S if is_busy else min(last_s * 2, IDLE_LOOK_EVERY_S)


class MemoryWatch:
    """The watch over one process. ``is_running`` says whether it lives, ``on_over`` is called when it has too much."""

    def __init__(self, pid: int, is_running: Callable[[], bool], on_over: Callable[[], None]) -> None:
        self._pid = pid
        self._is_running = is_running
        self._on_over = on_over
        self._channel: Channel | None = None
        self._most_bytes = 0
        self.wait_s = LOOK_EVERY_S
        """How long the next look waits."""
        self._timer: asyncio.TimerHandle | None = None

    def limited_run(self, channel: Channel) -> Callable[[model.Invocation, base.Then], None]:
        """The channel's ``run``, at whose begin the watch looks often again."""
        self._channel = channel

        def run(invocation: model.Invocation, then: base.Then) -> None:
            if self.wait_s > LOOK_EVERY_S:
                self._look_within(LOOK_EVERY_S)
            channel.run(invocation, then)

        return run

    def begin(self, most_bytes: int) -> None:
        """Watch from now on: a process with more than so many bytes in memory has too much."""
        self._most_bytes = most_bytes
        self.wait_s = LOOK_EVERY_S
        self._look()

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._most_bytes = 0

    def _look(self) -> None:
        if not self._is_running():
            return
        if resident_bytes(self._pid) > self._most_bytes:
            self._on_over()
            return
        is_busy = self._channel is not None and self._channel.is_busy
        self._look_within(next_look_s(self.wait_s, is_busy=is_busy))

    def _look_within(self, seconds: float) -> None:
        if not self._most_bytes:
            return
        if self._timer is not None:
            self._timer.cancel()
        self.wait_s = seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)


def resident_bytes(pid: int) -> int:
    """What a process has in memory; 0 when it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
