"""Billed duration, cost and the report line: pure functions in integers, no floats in money.

The unit of account is the pico-unit (10^-12 of the currency): one millisecond of 128 MB costs about 2,000 of them and
would vanish in micro-units. Each attempt is rounded once, half up, to a whole pico-unit; sums of attempts are exact.
"""

from __future__ import annotations

from faas.core import model

PICO_PER_MICRO = 1_000_000
_PICO_PER_NANO = 1_000
_MB_MS_PER_GB_S = 1024 * 1000
_US_PER_S = 1_000_000

BACKGROUND_MS = 60_000
"""For how long what an attempt leaves running goes on, in a sandbox of a function that asks for that."""


def billed_ms(duration_us: int) -> int:
    """What a handler that ran is billed: its duration rounded up to 1 ms, and at least that."""
    # Rounded up, in whole numbers: a division of what is below zero rounds away from it.
    return max(1, -(-duration_us // 1000))


def background_ms(ended_at_ms: int, started_at_ms: int) -> int:
    """What an attempt is billed for the time since the one before it in its sandbox, when that could work meanwhile."""
    # The clock may have been set back in between.
    return min(max(started_at_ms - ended_at_ms, 0), BACKGROUND_MS)


def cost_pico(billed: int, memory_mb: int, price_gb_s_micro: int, price_request_nano: int) -> int:
    """The cost of one attempt in pico-units: its GB-seconds (rounded half up) and its request.

    ``price_gb_s_micro`` is millionths of a micro-unit, which are pico-units, per GB-second.
    """
    # Half of the divisor first, and rounding down becomes rounding half up.
    compute = (billed * memory_mb * price_gb_s_micro + _MB_MS_PER_GB_S // 2) // _MB_MS_PER_GB_S
    return compute + price_request_nano * _PICO_PER_NANO


def cpu_pico(cpu_us: int | None, price_cpu_s_micro: int) -> int:
    """The cost of processor time in pico-units, rounded half up; of a time that nobody knows, nothing."""
    return ((cpu_us or 0) * price_cpu_s_micro + _US_PER_S // 2) // _US_PER_S


def cost_micro(pico: int) -> int:
    """Pico-units as whole micro-units, rounded half up; for showing, never for adding up."""
    return (pico + PICO_PER_MICRO // 2) // PICO_PER_MICRO


def decimal(pico: int) -> str:
    """Pico-units as an exact decimal of the currency itself: ``decimal(8_360_000)`` is ``0.00000836``."""
    whole, rest = divmod(pico, 10**12)
    digits = f"{rest:012d}".rstrip("0")
    return f"{whole}.{digits:0<2}"


def aligned(pico: int) -> str:
    """The same with all of its twelve digits, for columns: the points of amounts stand below one another."""
    whole, rest = divmod(pico, 10**12)
    return f"{whole:,}.{rest:012d}"


def report_line(record: model.Record) -> str:
    """The line after each attempt, in the shape that Lambda users know."""
    parts = [
        f"REPORT RequestId: {record.invocation_id}",
        f"Duration: {_ms(record.duration_us)} ms",
        f"Billed Duration: {record.billed_ms} ms",
        f"Memory Size: {record.memory_limit_mb} MB",
        f"Max Memory Used: {record.memory_peak_mb} MB",
    ]
    if record.cold_start is not model.ColdStart.NONE:
        parts.append(f"Init Duration: {record.init_ms}.00 ms")
    if record.status is not model.Status.OK:
        parts.append(f"Status: {record.status.value}")
    if record.error is not None:
        parts.append(f"Error Type: {record.error.type}")
    return "\t".join(parts)


def _ms(us: int) -> str:
    hundredths = (us + 5) // 10
    return f"{hundredths // 100}.{hundredths % 100:02d}"
