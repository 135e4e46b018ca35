"""What is looked at while inputs are tried: errors that reach nobody but a log, the loop, and memory."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TICK_S = 0.01
_PAGE_KIB = 4


class Errors(logging.Handler):
    """Collects what went wrong behind the back of whoever asked: logged stacks, lost exceptions, failed finalizers."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """A logged stack, or an error of asyncio's; a plain line is how the platform says that something was wrong."""
        if record.exc_info or record.name == "asyncio":
            stack = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            self.seen.append(f"{record.name}: {record.getMessage()}\n{stack}")

    def on_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a loop reports: an exception that nobody has taken up."""
        error = context.get("exception")
        stack = "".join(traceback.format_exception(error)) if error else ""
        self.seen.append(f"{context.get('message')}\n{stack}")

    def on_unraisable(self, given: Any) -> None:
        """An exception in a finalizer."""
        stack = "".join(traceback.format_exception(given.exc_type, given.exc_value, given.exc_traceback))
        self.seen.append(f"unraisable in {given.object!r}\n{stack}")

    def take(self) -> list[str]:
        """What was seen since the last time."""
        seen, self.seen = self.seen, []
        return seen


@contextlib.contextmanager
def errors() -> Iterator[Errors]:
    """Collect errors during the block, and print none of them."""
    collected, root, before = Errors(), logging.getLogger(), sys.unraisablehook
    handlers, root.handlers = root.handlers, [collected]
    sys.unraisablehook = collected.on_unraisable
    asyncio.get_running_loop().set_exception_handler(collected.on_loop)
    try:
        yield collected
    finally:
        root.handlers = handlers
        sys.unraisablehook = before


class LoopWatch:
    """How long the loop was held up at most: by the processor's time, so that a busy machine is nobody's fault."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._before_s = time.thread_time()
        self._handle = self._loop.call_later(_TICK_S, self._tick)

    def take(self) -> float:
        """The longest since the last time."""
        longest, self.longest_s = self.longest_s, 0.0
        return longest

    @contextlib.contextmanager
    def excused(self) -> Iterator[None]:
        """What the fuzzer itself does during the block holds up nobody."""
        began_s = time.thread_time()
        try:
            yield
        finally:
            self._before_s += time.thread_time() - began_s

    def close(self) -> None:
        """Look no more."""
        self._handle.cancel()

    def _tick(self) -> None:
        now_s = time.thread_time()
        self.longest_s = max(self.longest_s, now_s - self._before_s)
        self._before_s = now_s
        self._handle = self._loop.call_later(_TICK_S, self._tick)


@contextlib.contextmanager
def loop() -> Iterator[LoopWatch]:
    """Look at the running loop during the block. What was there before is no garbage to be looked through meanwhile."""
    gc.collect()
    gc.freeze()
    watch = LoopWatch()
    try:
        yield watch
    finally:
        watch.close()
        gc.unfreeze()


def memory_kib() -> int:
    """What this process holds in memory, once everything is given back that can be."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB
