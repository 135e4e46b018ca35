"""Whose turn it is."""

from __future__ import annotations

import asyncio
import collections

import pytest

from runners import turns


class Work:
    """Takes turns, and notes who had one; nobody's turn ends before it is told to."""

    def __init__(self, at_once: int) -> None:
        self.turns = turns.Turns(at_once)
        self.had: list[str] = []
        self.has: collections.Counter[str] = collections.Counter()
        self._ends: list[asyncio.Event] = []

    def begin(self, who: str) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._work(who))

    async def _work(self, who: str) -> None:
        names = who.split("@")
        async with self.turns.turn(names, lambda: [self.has[name] for name in names]):
            self.had.append(who)
            self._ends.append(asyncio.Event())
            await self._ends[-1].wait()
            self.has.update(names)

    async def end(self, count: int = 1) -> None:
        for _ in range(count):
            self._ends.pop(0).set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_wants_many_at_once_lets_those_who_have_none_go_first() -> None:
    work = Work(2)
    tasks = [work.begin("greedy") for _ in range(6)]
    await settle()
    tasks += [work.begin("modest"), work.begin("late")]
    await settle()
    assert work.had == ["greedy", "greedy"]
    await work.end(2)
    assert work.had[2:] == ["modest", "late"]
    await work.end(2)
    assert work.had[4:] == ["greedy", "greedy"]
    await work.end(2)
    await work.end(2)
    await asyncio.gather(*tasks)


async def test_who_comes_in_many_kinds_has_one_share_and_its_kinds_share_it() -> None:
    work = Work(1)
    tasks = [work.begin(who) for who in ("many@1", "many@1", "many@2", "many@3", "one@1", "two@1")]
    await settle()
    for _ in tasks:
        await work.end()
    await asyncio.gather(*tasks)
    assert work.had == ["many@1", "one@1", "two@1", "many@2", "many@3", "many@1"]


async def test_turns_that_are_being_had_count_as_had() -> None:
    work = Work(2)
    tasks = [work.begin("one"), work.begin("two"), work.begin("one"), work.begin("one"), work.begin("three")]
    await settle()
    await work.end()  # one's first: it has one now, three has nothing
    assert work.had == ["one", "two", "three"]
    await work.end()
    assert work.had[3:] == ["one"]
    await work.end()
    await work.end(2)
    await asyncio.gather(*tasks)


async def test_a_waiter_that_is_cancelled_costs_nobody_a_turn() -> None:
    work = Work(1)
    first, gone, last = work.begin("a"), work.begin("b"), work.begin("c")
    await settle()
    gone.cancel()
    await work.end()
    assert work.had == ["a", "c"]
    await work.end()
    await asyncio.gather(first, last)
    assert gone.cancelled()


async def test_a_waiter_that_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    work = Work(1)
    first, gone, last = work.begin("a"), work.begin("b"), work.begin("c")
    await settle()
    work._ends[0].set()
    await first  # b has been told, and has not run yet
    gone.cancel()
    await settle()
    assert work.had[-1] == "c"
    work._ends[-1].set()
    await last


async def test_what_fails_ends_its_turn() -> None:
    one = turns.Turns(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with one.turn(["a"], lambda: [0]):
                raise ZeroDivisionError
