"""Order and statistics of a benchmark; pure functions. Contenders take turns, and ratios are taken round by round.

A machine's speed drifts while a benchmark runs. Two figures of one round saw the same machine, so their ratio holds
where neither figure does.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

T = TypeVar("T")


class Spread(msgspec.Struct, frozen=True):
    """The median of some values, with the least and the greatest of them."""

    median: float
    low: float
    high: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one contender in one round. ``case`` tells apart what one contender did (``32 clients``)."""

    case: str
    contender: str
    round: int
    figures: dict[str, float]


class Progress(NamedTuple):
    """How many jobs were done at a moment (seconds on a monotonic clock)."""

    at_s: float
    done: int


def turns(contenders: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Who runs when: A B C, C B A, A B C, ... so that no contender always runs after the same other one."""
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            yield number, contender


def spread(values: Iterable[float]) -> Spread:
    """Median, least and greatest. Raises `ValueError` when there are no values."""
    sorted_values = sorted(values)
    if not sorted_values:
        raise ValueError("no values to summarize")
    return Spread(statistics.median(sorted_values), sorted_values[0], sorted_values[-1])


def names(samples: Iterable[Sample]) -> list[tuple[str, str]]:
    """Every (case, contender) that has samples, case by case, each in the order of its first appearance."""
    found = list(dict.fromkeys((sample.case, sample.contender) for sample in samples))
    cases = list(dict.fromkeys(case for case, _ in found))
    return sorted(found, key=lambda name: cases.index(name[0]))


def figure(samples: Iterable[Sample], case: str, contender: str, name: str) -> dict[int, float]:
    """One figure of one contender, by round."""
    return {
        sample.round: sample.figures[name]
        for sample in samples
        if (sample.case, sample.contender) == (case, contender) and name in sample.figures
    }


def ratio(ours: dict[int, float], theirs: dict[int, float]) -> Spread:
    """Ours divided by theirs, round by round. Raises `ValueError` when no round has both."""
    return spread(ours[number] / theirs[number] for number in ours.keys() & theirs.keys())


def rate(progress: Sequence[Progress]) -> float:
    """Jobs per second from the first moment at which something was done to the first at which all was.

    What was done by that first moment does not count, so neither does the start of the worker. Where everything was
    done by then, the time before it is the best there is to divide by.
    """
    total = progress[-1].done
    end = next(at for at in progress if at.done == total)
    begin = next(at for at in progress if at.done > 0)
    if begin is end:
        begin = Progress(progress[0].at_s, 0)
    return (total - begin.done) / (end.at_s - begin.at_s)


def product(cases: Sequence[str], contenders: Sequence[T], rounds: int) -> Iterator[tuple[int, str, T]]:
    """Every case of every contender, round by round; within a case the contenders run right after one another."""
    for number, group in itertools.groupby(turns(contenders, rounds), key=lambda turn: turn[0]):
        order = [contender for _, contender in group]
        for case in cases:
            for contender in order:
                yield number, case, contender
