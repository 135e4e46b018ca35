"""Sandboxes that wait for work are frozen, so that no function works between its attempts, which nobody bills.

::

    running ──idle for a while──► frozen ──before an attempt is sent, or an end──► running

Nothing is done for each attempt of a busy sandbox: a timer is left to fire, and looks whether it has been idle since.
To freeze and to thaw is one write to a file of the container's cgroup, which takes microseconds, so it is done on the
event loop: no attempt can come in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from runners.engines.docker import cgroups


class Switch(msgspec.Struct, frozen=True):
    """Where a cgroup is frozen: its file, and what is written there."""

    file: Path
    frozen: bytes
    thawed: bytes


def switch(group: Path) -> Switch:
    """How the cgroup of a folder is frozen, by the version of cgroups that the folder is of."""
    version2 = group / "cgroup.freeze"
    if version2.exists():
        return Switch(version2, b"1", b"0")
    return Switch(group / "freezer.state", b"FROZEN", b"THAWED")


class Freezer:
    """Freezes one cgroup, where this host lets us; else it does nothing, and never fails."""

    def __init__(self, group: Path | None, on_thaw: Callable[[], None]) -> None:
        """``on_thaw`` is called when it goes on after it was frozen."""
        self._on_thaw = on_thaw
        self.is_frozen = False
        self.is_held = False
        """Whether it is not to be frozen for now: somebody else changes the group, and may freeze it for that."""
        self._file = -1
        if group is not None:
            self._switch = switch(group)
            with contextlib.suppress(OSError):
                # Kept open: to freeze and to thaw is one write then.
                self._file = os.open(self._switch.file, os.O_WRONLY | os.O_CLOEXEC)

    @property
    def works(self) -> bool:
        """Whether there is something to freeze."""
        return self._file >= 0

    def freeze(self) -> None:
        """Stop all that runs there; what cannot be stopped yet stops as soon as it can."""
        self.is_frozen = self._write(self._switch.frozen) if self.works else False

    def thaw(self) -> None:
        """Let it go on."""
        if self.is_frozen:
            self.is_frozen = False
            self._write(self._switch.thawed)
            self._on_thaw()

    def close(self) -> None:
        """Let it go on, and never stop it again: a frozen process of version 1 cannot be killed. Safe to call twice."""
        if self.is_frozen:
            self.is_frozen = False
            self._write(self._switch.thawed)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, word: bytes) -> bool:
        try:
            os.pwrite(self._file, word, 0)
        except OSError:  # the container has gone
            return False
        return True


class Rest:
    """The idle times of one sandbox, as a `hosted.Rest`: it is frozen when one takes too long."""

    def __init__(self, freezer: Freezer) -> None:
        self._loop = asyncio.get_running_loop()
        self._freezer = freezer
        self._after_s = 0.0
        self._is_idle = False
        self._since_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """See `hosted.Rest.end`."""
        self._is_idle = False
        if self._freezer.is_frozen:
            self._freezer.thaw()

    def begin(self, after_s: float) -> None:
        """See `hosted.Rest.begin`."""
        self._is_idle = True
        self._after_s = after_s
        self._since_s = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(after_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._is_idle:
            return
        left_s = left(self._since_s, self._loop.time(), self._after_s)
        if left_s > 0 or self._freezer.is_held:
            self._timer = self._loop.call_later(left_s or self._after_s, self._look)
        else:
            self._freezer.freeze()

    def close(self) -> None:
        """See `hosted.Rest.close`."""
        self._is_idle = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._freezer.close()


def left(since_s: float, now_s: float, after_s: float) -> float:
    """For how much longer a sandbox that is idle since then runs on; 0 when its time is over."""
    left_s = since_s + after_s - now_s
    # A timer may fire a little early by another clock's resolution.
    return left_s if left_s > 0.001 else 0.0


def thaw(pid: int) -> None:
    """Thaw what the process of a dead runner's sandbox is in: nobody else does, and nobody can kill it before."""
    group = cgroups.group(pid, "freezer") if pid > 0 else None
    if group is not None:
        found = switch(group)
        with contextlib.suppress(OSError):
            found.file.write_bytes(found.thawed)
