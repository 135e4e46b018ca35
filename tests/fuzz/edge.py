"""What an edge is to the fuzzer: a place where the platform reads what others have made.

An input is bytes, whatever the edge makes of them: so every edge has the same way to change them, to make a failing
one small and to keep it. `Edge.attempt` gives one to the platform and says in a few words what became of it. Words that
were never heard before make an input one of those that others are made of.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

CORPUS = Path(__file__).parent / "corpus"
_VARIES = re.compile(r"0x[0-9a-f]+|'[^']*'|\"[^\"]*\"|[0-9]+|\S{24,}")


class Around(msgspec.Struct, frozen=True):
    """What edges may use: an empty folder of their own, a Redis, and a first part of its keys."""

    home: Path
    redis_url: str = ""
    prefix: str = "fuzz"


class Broken(AssertionError):
    """The platform did what it never may."""


class Edge:
    """One edge. The attributes are bounds; the methods are what an edge fills in."""

    name = ""
    at_once = 1
    """How many inputs are under way together."""
    most_bytes = 20_000
    most_cpu_s = 0.1
    """How much of a processor one input may take, where that holds an event loop up; more where it does not."""
    patience_s = 20.0
    """What takes longer has got stuck."""
    made_anew = 0.3
    """How many inputs come from `make` and not from others."""
    tokens: tuple[bytes, ...] = ()
    needs_redis = False
    owns_process = False
    """Whether it changes the process that it runs in: signals, the roots of modules and logs."""

    async def open(self, around: Around) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Let go of everything."""

    def seeds(self) -> Iterable[bytes]:
        """Good inputs, from which others are made."""
        return ()

    def make(self, chance: random.Random) -> bytes | None:
        """An input that knows the language of the edge; None where there is no such."""
        return None

    async def attempt(self, given: bytes) -> str:
        """Try an input; what became of it. Raises `Broken`, or whatever the platform may not raise."""
        raise NotImplementedError

    async def look(self) -> None:
        """Called now and then: raise `Broken` when something went wrong that no answer tells of."""


def corpus(name: str) -> dict[str, bytes]:
    """The inputs of an edge that are kept, by their names."""
    folder = CORPUS / name
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def said(text: object) -> str:
    """A message without what varies in it: names, numbers and what is long."""
    return _VARIES.sub("_", str(text))[:120]


def check(fact: object, why: str) -> None:
    """Raise `Broken` unless it is so."""
    if not fact:
        raise Broken(why)
