"""The upper end of a sketch, as bytes that are added up by putting them together; no I/O.

Of ten thousand functions a database joins what it has of a month in one go, where to unpack each day's sketch takes ten
times as long. A record is eight bytes, little-endian: 16 bits of a bin and 48 bits of how many values are in it. What
is below the upper end is told by two records with bins that no value has: how many values, and below which bin.
"""

from __future__ import annotations

import array
import bisect
import sys
from collections.abc import Sequence

from faas.core import sketches

LEAST_PER_MILLE = 990
"""From this rank on the upper ends tell of a sum what the sketches would, nearly always."""

_SHARE = 4
"""One in so many values is in the upper end, and all that share a bin with it. Of a month of which two days were slow,
as a whole, the p99 lies in the upper sixth of these."""

_BITS = 48
_MASK = (1 << _BITS) - 1
_FLOOR, _REST = 0xFFFE << _BITS, 0xFFFF << _BITS
_NO_RECORD = b""


def upper_end(flat: Sequence[int]) -> bytes:
    """That of a packed sketch."""
    if len(flat) <= 2:
        return _packed([flat[0] << _BITS | flat[1]]) if flat else _NO_RECORD
    left = sum(flat[1::2])
    wanted = left - -(-left // _SHARE)
    place, at, records = sum(flat[::2]), len(flat) - 2, []
    while at >= 0 and left >= wanted:
        records.append(place << _BITS | flat[at + 1])
        left -= flat[at + 1]
        place -= flat[at]
        at -= 2
    if left:
        records += (_REST | left, _FLOOR | records[-1] >> _BITS)
    return _packed(records)


def records_of(flat: Sequence[int]) -> list[int]:
    """A whole packed sketch, as records to be added to those of `unpacked`."""
    place, records = 0, []
    for at in range(0, len(flat), 2):
        place += flat[at]
        records.append(place << _BITS | flat[at + 1])
    return records


def unpacked(ends: bytes) -> list[int]:
    """The records of some upper ends, one behind the other."""
    records = array.array("Q", ends)
    if sys.byteorder == "big":
        records.byteswap()
    return records.tolist()


def quantile(records: list[int], per_mille: int) -> int | None:
    """The value at a rank of all that these records tell of, 0 when that is nothing; None when it is not in them."""
    if not records:
        return 0
    records.sort()
    floors, rests = bisect.bisect_left(records, _FLOOR), bisect.bisect_left(records, _REST)
    # Bins are a multiple of the mask's size: what is left of a sum is the sum of the counts.
    count = (sum(records[:floors]) & _MASK) + (sum(records[rests:]) & _MASK)
    # How many values there are from this one on.
    left = count + 1 - -(-count * per_mille // 1000)
    for record in reversed(records[:floors]):
        left -= record & _MASK
        if left <= 0:
            is_known = rests == floors or record >> _BITS >= records[rests - 1] & _MASK
            return sketches.value_of(record >> _BITS) if is_known else None
    return None


def _packed(records: list[int]) -> bytes:
    made = array.array("Q", records)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()
