"""The two clocks. The wall clock is what records and people read; it may jump. The steady one only measures."""

from __future__ import annotations

import time

steady_s = time.monotonic
"""Seconds of a clock that never jumps, for what has to end or be looked at after some time. It starts anywhere."""

steady_ns = time.monotonic_ns
"""The same clock in nanoseconds, which sandboxes of this machine read too: deadlines are told to them by it."""

now_ns = time.time_ns
"""The wall clock in nanoseconds, for what is compared with files' times and what is told in microseconds."""


def now_ms() -> int:
    """The wall clock: Unix milliseconds, as records, events and ids have them."""
    return time.time_ns() // 1_000_000
