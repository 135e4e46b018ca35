"""The names of a folder in their order, however many: sorted in parts, which are put together as far as is asked for.

To sort a million names at once keeps the interpreter for most of a second, and all threads of the process with it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

PART = 5_000
"""As many are sorted in some two milliseconds."""


class Names:
    """Names that are taken out one by one, the least first."""

    def __init__(self, parts: Iterable[list[str]]) -> None:
        self._parts = [sorted(part, reverse=True) for part in parts if part]
        self._left = sum(map(len, self._parts))
        self._least = [(part[-1], place) for place, part in enumerate(self._parts)]
        heapq.heapify(self._least)

    def __len__(self) -> int:
        return self._left

    def pop(self) -> str:
        """The next one. Raises `IndexError` when there is none."""
        name, place = self._least[0]
        part = self._parts[place]
        part.pop()
        self._left -= 1
        if part:
            heapq.heapreplace(self._least, (part[-1], place))
        else:
            heapq.heappop(self._least)
        return name


def in_parts(names: Iterator[str]) -> Iterator[list[str]]:
    """Names in lists of a size that `Names` sorts at once."""
    while part := list(itertools.islice(names, PART)):
        yield part
