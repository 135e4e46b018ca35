"""No line twice: whoever follows gets a line as it is printed, and later, with its record, what the ledger holds of it.

The two are the same when their invocation, attempt and text are. The ledger has all lines, so as many of equal ones are
shown as it has; a line whose node died before it was recorded was shown once.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Protocol, TypeVar

_MOST_KNOWN = 100_000


class AskedLine(Protocol):
    """What is asked of a line. ``id`` is 0 as long as it is not in the ledger."""

    @property
    def id(self) -> int: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def invocation_id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def text(self) -> str: ...


T = TypeVar("T", bound=AskedLine)


class SeenLines:
    """What one follower has been shown. Of very many lines the oldest are forgotten."""

    def __init__(self, most: int = _MOST_KNOWN) -> None:
        self._most = most
        self._live: collections.OrderedDict[int, int] = collections.OrderedDict()
        self._stored: collections.OrderedDict[int, int] = collections.OrderedDict()

    def fresh(self, lines: Iterable[T]) -> list[T]:
        """The lines that were not shown yet, which count as shown from now on."""
        return [line for line in lines if self._is_fresh(line)]

    def _is_fresh(self, line: AskedLine) -> bool:
        same = (line.invocation_id, line.attempt, line.text)
        # A line that comes live after the ledger had it has its very moment. Another that says the same has not.
        exactly = (*same, line.at_ms)
        if line.id:
            return not _taken(self._live, hash(same)) and self._note(self._stored, hash(exactly))
        return not _taken(self._stored, hash(exactly)) and self._note(self._live, hash(same))

    def _note(self, shown: collections.OrderedDict[int, int], key: int) -> bool:
        shown[key] = shown.get(key, 0) + 1
        shown.move_to_end(key)
        if len(shown) > self._most:
            shown.popitem(last=False)
        return True


def _taken(shown: collections.OrderedDict[int, int], key: int) -> bool:
    """Whether one of these was shown the other way; then it counts no more."""
    count = shown.get(key, 0)
    if count > 1:
        shown[key] = count - 1
    elif count:
        del shown[key]
    return count > 0
