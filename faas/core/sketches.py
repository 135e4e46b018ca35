"""How long many things took, in little room: how many values lie in each of some thousand bins; no I/O.

The bins are those of HdrHistogram (G. Tene), in whole numbers only: each value below 128 has a bin of its own, and
above that every doubling is cut into 64. A bin stands for the value in its middle, which is less than 1% away from all
that it holds. Nothing else is lost: however values come, and in whichever order sketches are added up, the sum is the
same.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

Sketch = dict[int, int]
"""The bins that hold something, and how many values."""

ERROR = 1 / 128
"""How far a quantile may be from the value that it stands for, as a share of it. Below 128 it is exact."""

GREATEST = 2**63 - 1
"""What is more counts as this."""

_EXACT_BITS = 7
_EXACT = 1 << _EXACT_BITS
_HALF_BITS = _EXACT_BITS - 1
_FEW = 4


def bin_of(value: int) -> int:
    """The bin of a value. What is below 0 counts as 0: a clock that jumped gives such durations."""
    if value < _EXACT:
        return max(value, 0)
    value = min(value, GREATEST)
    shift = value.bit_length() - _EXACT_BITS
    return (shift << _HALF_BITS) + (value >> shift)


def value_of(place: int) -> int:
    """The value that a bin stands for."""
    if place < _EXACT:
        return place
    shift = (place >> _HALF_BITS) - 1
    return ((place - (shift << _HALF_BITS)) << shift) + ((1 << shift) - 1) // 2


def of(values: Sequence[int]) -> Sketch:
    """The sketch of some values."""
    if len(values) < _FEW or min(values) < 0 or max(values) > GREATEST:
        return Counter(map(bin_of, values))
    # As `bin_of` has it, without a call for each: half the time.
    return Counter(
        [
            value if value < _EXACT else ((shift := value.bit_length() - _EXACT_BITS) << _HALF_BITS) + (value >> shift)
            for value in values
        ]
    )


def packed(sketch: Sketch) -> list[int]:
    """As a list that msgpack writes short: each bin as its distance from the one before it, and its count."""
    if len(sketch) < 2:
        return [each for pair in sketch.items() for each in pair]
    flat: list[int] = []
    before = 0
    for place in sorted(sketch):
        flat += (place - before, sketch[place])
        before = place
    return flat


def add(into: Sketch, flat: Sequence[int]) -> None:
    """Add a packed sketch to another."""
    if len(flat) == 2:  # most are of one attempt
        into[flat[0]] = into.get(flat[0], 0) + flat[1]
        return
    for place, count in zip(itertools.accumulate(flat[::2]), flat[1::2], strict=True):
        into[place] = into.get(place, 0) + count


def quantiles(sketch: Sketch, per_mille: Sequence[int]) -> list[int]:
    """The values at these ranks (nearest rank, rounded up), which have to ascend; zeros when the sketch is empty."""
    found: list[int] = []
    total, so_far = sum(sketch.values()), 0
    wanted = [-(-total * each // 1000) for each in per_mille]
    for place in sorted(sketch):
        so_far += sketch[place]
        while len(found) < len(wanted) and so_far >= wanted[len(found)]:
            found.append(value_of(place))
        if len(found) == len(wanted):
            break
    return found if total else [0] * len(wanted)
