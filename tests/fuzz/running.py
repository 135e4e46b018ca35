"""One edge under inputs without end: which ones, what is looked at, and what was found."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import random
import re
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from tests.fuzz import edge as edges
from tests.fuzz import mutate, shrink, watching

MOST_GROWTH_KIB = 32 * 1024
"""How much more memory may be held at the end than after the first part of a run."""
_WARM_PART = 0.25
_LEAST_WARM = 500
_LOOK_EVERY = 256
_POOL_BYTES = 2 << 20
_MOST_WAYS = 20_000
_MOST_FINDINGS = 20
_STUCK_S = 120
_FRAME = re.compile(r'File "([^"]+)", line ([0-9]+)')
_ROOMS = ("/faas/", "/triggers/", "/runners/")


class Finding(msgspec.Struct, frozen=True):
    """An input that did what none may. ``where`` is the same for all that do it in the same way."""

    edge: str
    where: str
    what: str
    given: bytes


class Report(msgspec.Struct):
    """What became of a run. ``ways`` counts the different things that the platform said."""

    edge: str
    inputs: int = 0
    seconds: float = 0.0
    ways: int = 0
    start_kib: int = 0
    end_kib: int = 0
    longest_s: float = 0.0
    findings: list[Finding] = msgspec.field(default_factory=list)

    @property
    def grown_kib(self) -> int:
        """How much memory the edge came to hold after the first part of the run."""
        return self.end_kib - self.start_kib


class Until(msgspec.Struct, frozen=True):
    """When a run ends: after so many seconds, or so many inputs, whichever comes first."""

    seconds: float = float("inf")
    inputs: float = float("inf")

    def part(self, report: Report) -> float:
        """How much of the run is over, from 0 to 1."""
        return max(report.seconds / self.seconds, report.inputs / self.inputs)


async def run(edge: edges.Edge, around: edges.Around, seed: int, until: Until, last: Path | None = None) -> Report:
    """Try inputs that the seed chooses. What is under way is written to ``last``, should the process die of it."""
    async with _opened(edge, around, random.Random(f"{seed} {edge.name}"), last) as trying:
        return await trying.go(until)


async def replay(edge: edges.Edge, around: edges.Around, given: dict[str, bytes]) -> list[Finding]:
    """Try these inputs only; what was found."""
    async with _opened(edge, around, random.Random(0), None) as trying:
        for each in given.values():
            await trying.one(each)
        await trying.look()
        return trying.report.findings


@contextlib.asynccontextmanager
async def _opened(
    edge: edges.Edge, around: edges.Around, chance: random.Random, last: Path | None
) -> AsyncIterator[_Run]:
    await edge.open(around)
    try:
        with watching.errors() as errors, watching.loop() as loop:
            yield _Run(edge, chance, errors, loop, last)
    finally:
        await edge.close()
        faulthandler.cancel_dump_traceback_later()


class _Run:
    def __init__(
        self,
        edge: edges.Edge,
        chance: random.Random,
        errors: watching.Errors,
        loop: watching.LoopWatch,
        last: Path | None,
    ) -> None:
        self.report = Report(edge.name)
        self._edge = edge
        self._chance = chance
        self._errors = errors
        self._mutator = mutate.Mutator(chance, edge.tokens, edge.most_bytes)
        self._pool: list[bytes] = []
        self._pool_bytes = 0
        self._ways: set[str] = set()
        self._places: set[str] = set()
        self._last = last
        self._began_s = time.monotonic()
        self._watch = loop

    async def go(self, until: Until) -> Report:
        """All of a run."""
        known = [*self._edge.seeds(), *edges.corpus(self._edge.name).values()]
        self._pool = [each[: self._edge.most_bytes] for each in known]
        for each in known:
            await self.one(each)
        inputs = self._inputs(until)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._edge.at_once):
                group.create_task(self._lane(inputs))
        await self.look()
        self.report.end_kib = self._memory_kib()
        self.report.ways = len(self._ways)
        if self.report.grown_kib > MOST_GROWTH_KIB:
            self._note(f"memory grew by {self.report.grown_kib} KiB", "memory grew", b"")
        return self.report

    def _inputs(self, until: Until) -> Iterator[bytes]:
        while until.part(self.report) < 1 and len(self.report.findings) < _MOST_FINDINGS:
            if not self.report.start_kib and self.report.inputs >= _LEAST_WARM and until.part(self.report) > _WARM_PART:
                self.report.start_kib = self._memory_kib()
            with self._watch.excused():
                given = self._next()
            yield given
        if not self.report.start_kib:  # too short a run to say anything
            self.report.start_kib = self._memory_kib()

    def _memory_kib(self) -> int:
        with self._watch.excused():
            return watching.memory_kib()

    def _next(self) -> bytes:
        if self._chance.random() < self._edge.made_anew:
            made = self._edge.make(self._chance)
            if made is not None:
                return made
        base = self._chance.choice(self._pool) if self._pool else b""
        return self._mutator.mutated(base, self._pool)

    async def _lane(self, inputs: Iterator[bytes]) -> None:
        for each in inputs:
            await self.one(each)

    async def one(self, given: bytes) -> None:
        """Try one input, and note what it did that it may not."""
        if self.report.inputs % _LOOK_EVERY == 0:
            await self.look(given)
        if self._last is not None:
            if self.report.inputs % _LOOK_EVERY == 0:
                faulthandler.dump_traceback_later(_STUCK_S, exit=True)  # it takes a thread, each time
            self._last.write_bytes(given)
        self.report.inputs += 1
        try:
            way = await self._tried(given)
        except Exception as error:  # noqa: BLE001 - whatever comes is a finding
            await self._found(given, error)
            return
        finally:
            self.report.seconds = time.monotonic() - self._began_s
        if way not in self._ways and len(self._ways) < _MOST_WAYS:
            self._ways.add(way)
            self._keep(given)

    async def look(self, given: bytes = b"") -> None:
        """Look at what no answer tells of."""
        try:
            await self._edge.look()
        except Exception as error:  # noqa: BLE001 - as above
            self._note("".join(traceback.format_exception(error)), f"look: {edges.said(error)}", given)
        longest_s = self._watch.take()
        if self._edge.at_once > 1:
            self.report.longest_s = max(self.report.longest_s, longest_s)
            if longest_s > self._edge.most_cpu_s:
                self._note(f"the loop was held up for {longest_s:.3f} s", "held up", given)

    async def _tried(self, given: bytes) -> str:
        way, took_s = await self._timed(given)
        if self._edge.at_once == 1:
            if took_s > self._edge.most_cpu_s:  # again: it may have been something else the first time
                took_s = min(took_s, (await self._timed(given))[1])
            self.report.longest_s = max(self.report.longest_s, took_s)
            if took_s > self._edge.most_cpu_s:
                raise edges.Broken(f"took {took_s:.3f} s of the processor")
        if seen := self._errors.take():
            raise edges.Broken(f"behind the back of whoever asked: {seen[0]}")
        return way

    async def _timed(self, given: bytes) -> tuple[str, float]:
        began_s = time.thread_time()
        async with asyncio.timeout(self._edge.patience_s):
            way = await self._edge.attempt(given)
        return way, time.thread_time() - began_s

    async def _found(self, given: bytes, error: Exception) -> None:
        where = place(error)
        if where in self._places:
            return
        self._places.add(where)

        async def fails(shorter: bytes) -> bool:
            try:
                await self._tried(shorter)
            except Exception as other:  # noqa: BLE001 - the same, or another
                return place(other) == where
            return False

        # What fails now and then only cannot be made small.
        small = await shrink.smallest(given, fails) if await fails(given) else given
        self._note("".join(traceback.format_exception(error)), where, small)

    def _note(self, what: str, where: str, given: bytes) -> None:
        self._places.add(where)
        if len(self.report.findings) < _MOST_FINDINGS and all(each.where != where for each in self.report.findings):
            self.report.findings.append(Finding(self._edge.name, where, what, given))

    def _keep(self, given: bytes) -> None:
        if len(given) <= self._edge.most_bytes and self._pool_bytes < _POOL_BYTES:
            self._pool.append(given)
            self._pool_bytes += len(given)


def place(error: Exception) -> str:
    """Where an error comes from: its type, and the last line of ours in its stack."""
    if isinstance(error, edges.Broken):
        first, *more = str(error).splitlines()
        lines = [f"{Path(name).name}:{line}" for name, line in _FRAME.findall("\n".join(more))]
        return " ".join((edges.said(first), *lines[-1:]))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if any(room in each.filename for room in _ROOMS)] or list(frames)
    return (
        f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else type(error).__name__
    )
