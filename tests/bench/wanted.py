"""What a benchmark is asked for on its command line."""

from __future__ import annotations

import msgspec


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often to measure. Where ``clients``, ``seconds`` or ``nodes`` is not given, a part has its own.

    ``nodes`` are numbers of nodes: a platform is started for each. ``rows`` is how much a ledger holds.
    """

    rounds: int = 5
    clients: tuple[int, ...] = ()
    seconds: int = 0
    nodes: tuple[int, ...] = ()
    rows: int = 0


def numbers(text: str) -> tuple[int, ...]:
    """The numbers in ``1,8,32``. Raises `ValueError` for what is none, or below 1."""
    found = tuple(int(word) for word in text.split(",") if word)
    if any(number < 1 for number in found):
        raise ValueError(f"{text}: each has to be at least 1")
    return found


def clients(count: int) -> str:
    """What the case of so many clients is called."""
    return "1 client" if count == 1 else f"{count:,} clients"
