"""How often somebody may be wrong about the token: a few times a minute from one address, and not often in all."""

from __future__ import annotations

import collections

from faas.core import errors

WINDOW_S = 60.0
MOST_OF_ONE = 10
MOST_OF_ALL = 200


class Guesses:
    """The wrong ones of the last minute, by address. It holds `MOST_OF_ALL` of them at most."""

    def __init__(self) -> None:
        self._wrong: collections.deque[tuple[float, str]] = collections.deque()

    def refuse(self, address: str, now_s: float) -> None:
        """Raise `errors.Throttled` when an address, or all together, have been wrong too often."""
        while self._wrong and now_s - self._wrong[0][0] >= WINDOW_S:
            self._wrong.popleft()
        # Looked through each time: there are `MOST_OF_ALL` at most, and a table by address could be filled by
        # strangers.
        own = [at_s for at_s, who in self._wrong if who == address]
        # In all, too: who has many addresses guesses no faster.
        if len(own) < MOST_OF_ONE and len(self._wrong) < MOST_OF_ALL:
            return
        first_s = own[0] if len(own) >= MOST_OF_ONE else self._wrong[0][0]
        wait_s = max(1, round(first_s + WINDOW_S - now_s))
        raise errors.Throttled("too many wrong logins", retry_after_s=wait_s, hint=f"try again in {wait_s} s")

    def wrong(self, address: str, now_s: float) -> None:
        """Remember a wrong one."""
        self._wrong.append((now_s, address))
