"""What a seed stands for: which faults come when, and which work is sent. Pure; the same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

FAULTS = (
    "kill node", "kill scheduler", "kill recorder", "kill api", "kill builder", "pause node", "pause scheduler",
    "pause recorder", "kill redis", "pause redis", "kill container", "hang up", "deploy", "fill disk",
)  # fmt: skip

_WORK = {
    ("echo", "sync"): 40,
    ("echo", "async"): 36,
    ("slow", "sync"): 5,
    ("slow", "async"): 5,
    ("crashes", "sync"): 3,
    ("crashes", "async"): 3,
    ("uploads", "upload"): 5,
    ("exits", "async"): 1,
    ("exits", "sync"): 1,
    ("hungry", "async"): 1,
    ("endless", "async"): 1,
}


class Fault(msgspec.Struct, frozen=True):
    """One fault. ``at_s`` counts from the start; ``pick`` (0 to 1) chooses among the processes of its kind."""

    at_s: float
    kind: str
    pick: float


class Job(msgspec.Struct, frozen=True):
    """One piece of work: which function, how it is sent, and for how long it sleeps if it does."""

    number: int
    function: str
    way: str
    seconds: float


def faults(seed: int, length_s: float, every_s: float) -> tuple[Fault, ...]:
    """Faults about every so often; no kind comes again before every other has come."""
    chance = random.Random(f"faults {seed}")
    found: list[Fault] = []
    deck: list[str] = []
    at_s = every_s * chance.uniform(0.5, 1.0)
    while at_s < length_s:
        deck = deck or chance.sample(FAULTS, len(FAULTS))
        found.append(Fault(at_s, deck.pop(), chance.random()))
        at_s += every_s * chance.uniform(0.5, 1.5)
    return tuple(found)


def work(seed: int) -> Iterator[Job]:
    """Work without end."""
    chance = random.Random(f"work {seed}")
    kinds, weights = list(_WORK), list(_WORK.values())
    number = 0
    while True:
        ((function, way),) = chance.choices(kinds, weights)
        number += 1
        yield Job(number, function, way, round(chance.uniform(0.05, 1.5), 2))
