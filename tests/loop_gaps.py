"""How long an event loop was kept from other work by its own process, as a multiple of one look at 6 MB of JSON.

What others do on the machine is not counted: the kernel tells how long each thread waited for a processor, and that is
taken off. A control, the time of a processor that one look takes, is measured right before and after each try, so that
a processor that is shared, or slow at the moment, is so for both.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

_TICK_S = 0.001
_TRIES = 12
_THREADS = Path("/proc/self/task")
_NUMBERS = b"[" + b",".join([b"1"] * 3_000_000) + b"]"
"""The JSON that takes longest to look through."""
_skip = msgspec.json.Decoder(msgspec.Raw).decode


class _Moment(msgspec.Struct, frozen=True):
    """How far clocks were when the loop had a turn."""

    at_s: float
    busy_s: float
    """How long the loop's thread has had a processor."""
    waited_s: dict[int, float]
    """How long each thread has waited for one."""

    def kept_s(self, before: _Moment, loop_thread: int) -> float:
        """How long this process kept the loop since a moment before.

        Where the loop waits for the interpreter, the thread that has it may be waiting for a processor in turn.
        """
        waited = {thread: waited_s - before.waited_s.get(thread, 0.0) for thread, waited_s in self.waited_s.items()}
        own_s = waited.pop(loop_thread, 0.0)
        others_s = max(waited.values(), default=0.0)
        return max(self.busy_s - before.busy_s, self.at_s - before.at_s - own_s - others_s)


class Gaps:
    """The longest time for which the loop was kept, in seconds."""

    longest_s = 0.0


def _now() -> _Moment:
    me = threading.get_native_id()
    while True:
        at_s, busy_s, waited_s = time.perf_counter(), time.thread_time(), _waited_s()
        # A thread that had to wait between two clocks has read moments that do not belong together.
        if waited_s.get(me) == _waited_s().get(me):
            return _Moment(at_s, busy_s, waited_s)


def _waited_s() -> dict[int, float]:
    found = {}
    for thread in _THREADS.iterdir():
        with contextlib.suppress(OSError, IndexError):  # it has ended meanwhile, or the kernel does not tell
            found[int(thread.name)] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return found


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Gaps]:
    """Watch the loop during the block."""
    gaps, loop, loop_thread = Gaps(), asyncio.get_running_loop(), threading.get_native_id()
    last, timer = _now(), loop.call_soon(lambda: None)

    def look() -> None:
        nonlocal last
        now = _now()
        gaps.longest_s = max(gaps.longest_s, now.kept_s(last, loop_thread))
        last = now

    def tick() -> None:
        nonlocal timer
        look()
        timer = loop.call_later(_TICK_S, tick)

    tick()
    try:
        yield gaps
    finally:
        look()
        timer.cancel()


async def least_of_longest(work: Callable[[], Awaitable[None]], most: float) -> float:
    """The longest gap while work is done, in looks: of the first try that stays below ``most``, else of the best."""
    found = 1e9
    for _ in range(_TRIES):
        before_s = look_s()
        async with watched() as gaps:
            await work()
        found = min(found, gaps.longest_s / max(before_s, look_s()))
        if found < most:
            break
    return found


def share_beside(work: Callable[[bytes], object], given: bytes) -> float:
    """How much time of a processor this thread has for Python while another one works, for each second of that one's.

    Where the other keeps the interpreter it is nothing, and about one where it lets go of it, however busy the machine
    is: both wait for a processor as long.
    """
    has_begun, took_s = [], []

    def timed() -> None:
        begun_s = time.thread_time()
        has_begun.append(True)
        work(given)
        took_s.append(time.thread_time() - begun_s)

    other = threading.Thread(target=timed)
    other.start()
    while not has_begun:
        pass
    begun_s = time.thread_time()
    while not took_s:
        pass
    own_s = time.thread_time() - begun_s
    other.join()
    return own_s / took_s[0]


def look_s() -> float:
    """How much time of a processor a parser made for Python takes for one look at 6 MB of JSON."""
    begun_s = time.thread_time()
    _skip(_NUMBERS)
    return time.thread_time() - begun_s
