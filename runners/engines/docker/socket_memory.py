"""What lies in a sandbox's sockets: memory that no limit counts, or only one beside the function's own.

Version 1 of cgroups has a limit for what lies unread, by which the kernel drops datagrams and narrows connections, but
it gives each connection a least amount all the same; version 2 counts that as the function's memory. Neither counts
what is not sent yet (a datagram that is gathered with `MSG_MORE`), and neither counts sockets. So it is looked, while
the sandbox runs, at what they hold together and how many there are; one that has far too much has run out of memory.
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

MOST_SOCKETS = 1024
"""Of all kinds in a sandbox: as many as one process may have, and each may hold some 64 KiB that nobody counts."""

LOOK_EVERY_S = 0.1

_LIMIT = "memory.kmem.tcp.limit_in_bytes"
_USAGE = "memory.kmem.tcp.usage_in_bytes"
_USED = b"sockets: used "


class SocketWatch:
    """Looks at one control group while its sandbox runs; does nothing where the host does not let it, or need not."""

    def __init__(
        self,
        group: Path | None,
        pid: int,
        is_frozen: Callable[[], bool],
        on_over: Callable[[], None],
        proc: Path = Path("/proc"),
    ) -> None:
        """Set the limit, for a group and a process in it. ``on_over`` is called once, when far more is held."""
        self._is_frozen = is_frozen
        self._on_over = on_over
        self._timer: asyncio.TimerHandle | None = None
        self._usage = _limited(group) if group is not None else -1
        self._counts = _opened(proc / str(pid) / "net" / "sockstat")

    def wake(self) -> None:
        """The sandbox runs from now on, until it is frozen."""
        if max(self._usage, self._counts) >= 0 and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def close(self) -> None:
        """Look no more. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for descriptor in (self._usage, self._counts):
            if descriptor >= 0:
                os.close(descriptor)
        self._usage = self._counts = -1

    def _look(self) -> None:
        self._timer = None
        if held_bytes(_read(self._usage)) > MOST_BYTES or sockets(_read(self._counts)) > MOST_SOCKETS:
            self._on_over()
        # Whoever is frozen opens no socket; it is woken with the sandbox.
        elif not self._is_frozen():
            self.wake()


def held_bytes(usage: bytes) -> int:
    """What lies in sockets, as the kernel says it; 0 when it says nothing."""
    return int(usage) if usage.strip().isdigit() else 0


def sockets(counts: bytes) -> int:
    """How many sockets there are in a namespace, by its ``sockstat``; 0 when it says nothing."""
    count = counts.partition(_USED)[2].split(b"\n")[0]
    return int(count) if count.isdigit() else 0


def _read(descriptor: int) -> bytes:
    """The beginning of a file; nothing of one that is not there, or whose container has gone."""
    try:
        return os.pread(descriptor, 256, 0) if descriptor >= 0 else b""
    except OSError:
        return b""


def _opened(path: Path) -> int:
    """A descriptor for reading, or -1."""
    with contextlib.suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return -1


def _limited(group: Path) -> int:
    """Set the limit; the descriptor of what is in use, or -1."""
    with contextlib.suppress(OSError):
        (group / _LIMIT).write_text(str(LIMIT_BYTES))
        return _opened(group / _USAGE)
    return -1
