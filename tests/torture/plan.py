"""What a seed stands for: which faults come in which order, and which work is sent. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import msgspec

FAULTS = (
    "kill node", "kill scheduler", "kill recorder", "kill api", "kill builder", "kill up", "kill redis",
    "pause node", "pause scheduler", "pause recorder", "pause redis", "kill container", "stop engine", "fill disk",
    "set clock", "kill answering", "tear journal",
)  # fmt: skip
"""Every kind of fault. A deploy every so often, clients that hang up and handlers that misbehave are work.

``kill answering`` kills every node at the moment at which a caller has an answer, ``tear journal`` kills a node and
leaves half a write at the end of its journal.
"""

LONG = ("rest node", "rest redis")
"""Pauses of a minute, of which there is one in so many rounds of the others: `LONG_EVERY`."""

LONG_EVERY = 4

_WORK = {
    ("echo", "sync"): 300,
    ("echo", "async"): 200,
    ("echo", "batch"): 60,
    ("echo", "keyed"): 30,
    ("echo", "hang up"): 20,
    ("slow", "sync"): 20,
    ("slow", "async"): 15,
    ("slow", "hang up"): 5,
    ("slow", "delayed"): 10,
    ("slow", "cancelled"): 10,
    ("crashes", "sync"): 10,
    ("crashes", "async"): 10,
    ("uploads", "upload"): 40,
    ("exits", "sync"): 3,
    ("exits", "async"): 3,
    ("hungry", "async"): 3,
    ("endless", "async"): 3,
}

BATCH = 30
"""Events of a batch."""


class Fault(msgspec.Struct, frozen=True):
    """One fault, after a gap. ``pick`` (0 to 1) chooses among the processes of its kind, ``long`` its length."""

    gap_s: float
    kind: str
    pick: float
    long: float


class Job(msgspec.Struct, frozen=True):
    """One piece of work: which function, how it is sent, and for how long it sleeps if it does."""

    number: int
    function: str
    way: str
    seconds: float


def faults(seed: int, gap_s: float, kinds: Sequence[str] = (*FAULTS, *LONG)) -> Iterator[Fault]:
    """Faults without end; no kind comes again before every other has come. The long ones come in turns, and rarely."""
    chance = random.Random(f"faults {seed}")
    often = [kind for kind in kinds if kind not in LONG]
    rarely = [kind for kind in kinds if kind in LONG]
    for number in itertools.count(1):
        now = list(often)
        if rarely and (number % LONG_EVERY == 0 or not often):
            now.append(rarely[number // LONG_EVERY % len(rarely)])
        for kind in chance.sample(now, len(now)):
            yield Fault(gap_s * chance.uniform(0.0, 2.0), kind, chance.random(), chance.random())


def work(seed: int) -> Iterator[Job]:
    """Work without end."""
    chance = random.Random(f"work {seed}")
    kinds, weights = list(_WORK), list(_WORK.values())
    number = 0
    while True:
        ((function, way),) = chance.choices(kinds, weights)
        number += 1
        yield Job(number, function, way, round(chance.uniform(0.05, 1.0), 2))
