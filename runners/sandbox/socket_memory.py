"""What lies unread in a sandbox's sockets: memory that version 1 of cgroups keeps beside a function's own limit.

The kernel has a limit for it, by which it drops datagrams and narrows connections, but gives each connection a least
amount all the same, and nobody counts connections. So what they hold together is looked at while the sandbox runs, and
one that holds far more than the limit has run out of memory. Version 2 counts all of it as the function's memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

LIMIT_BYTES = 32 << 20
MOST_BYTES = 2 * LIMIT_BYTES
"""What is never reached by a few connections, which the limit narrows."""

LOOK_EVERY_S = 0.1

_LIMIT = "memory.kmem.tcp.limit_in_bytes"
_USAGE = "memory.kmem.tcp.usage_in_bytes"


class Watch:
    """Looks at one control group while its sandbox runs; does nothing where the host does not let it, or need not."""

    def __init__(self, group: Path | None, is_frozen: Callable[[], bool], on_over: Callable[[], None]) -> None:
        """Set the limit. ``on_over`` is called once, when far more is held."""
        self._is_frozen = is_frozen
        self._on_over = on_over
        self._timer: asyncio.TimerHandle | None = None
        self._usage = _limited(group) if group is not None else -1

    def wake(self) -> None:
        """The sandbox runs from now on, until it is frozen."""
        if self._usage >= 0 and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def close(self) -> None:
        """Look no more. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._usage >= 0:
            os.close(self._usage)
            self._usage = -1

    def _look(self) -> None:
        self._timer = None
        if self._held_bytes() > MOST_BYTES:
            self._on_over()
        elif not self._is_frozen():
            self.wake()

    def _held_bytes(self) -> int:
        try:
            return int(os.pread(self._usage, 32, 0))
        except (OSError, ValueError):  # the container has gone
            return 0


def _limited(group: Path) -> int:
    """Set the limit; the descriptor of what is in use, or -1."""
    with contextlib.suppress(OSError):
        (group / _LIMIT).write_text(str(LIMIT_BYTES))
        return os.open(group / _USAGE, os.O_RDONLY | os.O_CLOEXEC)
    return -1
