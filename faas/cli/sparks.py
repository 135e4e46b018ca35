"""A row of figures as a row of characters, and which pieces of time make a row that fits; no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.:-=+*#"
_M, _H, _D = 60_000, 3_600_000, 86_400_000
_STEPS_MS = (
    _M, 2 * _M, 5 * _M, 10 * _M, 15 * _M, 30 * _M, _H, 2 * _H, 3 * _H, 6 * _H, 12 * _H, _D, 2 * _D, 7 * _D, 14 * _D,
    28 * _D,
)  # fmt: skip

MOST = 32
"""How many pieces a row has at most, but for very long times."""


def every_ms(since_ms: int, until_ms: int) -> int:
    """The length of the pieces that a time is cut into."""
    return next(
        (step for step in _STEPS_MS if (until_ms - since_ms) <= (MOST - 1) * step), _fraction(until_ms - since_ms)
    )


def values(points: Mapping[int, int], since_ms: int, until_ms: int, piece_ms: int) -> list[int]:
    """The figure of each piece of a time; 0 where there is none."""
    first = since_ms // piece_ms * piece_ms
    return [points.get(at_ms, 0) for at_ms in range(first, until_ms, piece_ms)]


def line(figures: Sequence[int], encoding: str | None) -> str:
    """One character a figure: the lowest for 0, the highest for the greatest. Plain ones where blocks cannot be."""
    marks = _BLOCKS if _can(encoding) else _PLAIN
    top = max(figures, default=0)
    # What is not 0 is seen to be more, however small it is.
    return "".join(marks[-(-each * (len(marks) - 1) // top) if top and each > 0 else 0] for each in figures)


def _can(encoding: str | None) -> bool:
    try:
        _BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _fraction(length_ms: int) -> int:
    return -(-length_ms // (MOST - 1) // _D) * _D + _D
