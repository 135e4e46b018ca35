"""Gives the shop and the photos something to do, at rates that have a bound, until its time is over.

Each kind of work is due at fixed moments, whatever became of what was sent before. When too much of a kind is under
way, what is due is left out and counted, so a platform that is slow is not buried.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import click

ORIGINALS = sorted((Path(__file__).parents[1] / "photos" / "originals").glob("*.*"))
ITEMS = ("tea", "coffee", "cocoa", "milk", "sugar")
MOST_UNDER_WAY = 64
_SAY_EVERY_S = 10.0

Send = Callable[[int], Awaitable[str]]
"""Send the nth of its kind; what became of it, in a word."""


class Work(NamedTuple):
    """One kind of work, so many a second."""

    name: str
    per_s: float
    send: Send


class Tally:
    """What became of one kind of work, and how long it took."""

    def __init__(self) -> None:
        self.became: Counter[str] = Counter()
        self._took_ms: list[float] = []

    def add(self, became: str, took_ms: float) -> None:
        """Count one that was sent."""
        self.became[became] += 1
        self._took_ms.append(took_ms)

    def __str__(self) -> str:
        """``300 ok, 12 budget_reached; p50 1.2 ms, p99 8.0 ms``."""
        counts = ", ".join(f"{count:,} {became}" for became, count in self.became.most_common()) or "nothing yet"
        if not self._took_ms:
            return counts
        return f"{counts}; p50 {self._rank(0.5):.1f} ms, p99 {self._rank(0.99):.1f} ms"

    def _rank(self, share: float) -> float:
        ordered = sorted(self._took_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@click.command()
@click.option("--rate", default=200.0, show_default=True, type=click.FloatRange(0, 2_000), help="Quotes a second.")
@click.option("--seconds", default=300.0, show_default=True, type=click.FloatRange(1), help="For how long.")
def main(*, rate: float, seconds: float) -> None:
    """Ask for quotes, charge orders, ask for reports and upload photographs, of the platform that runs here."""
    try:
        gateway = asyncio.run(_gateway())
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(gateway, rate, seconds))
    except subprocess.CalledProcessError as error:
        raise click.ClickException("no platform answers: `faas up --detach` starts one") from error


async def _gateway() -> str:
    return str(json.loads(await _faas("status", "--json"))["gateway"])


async def _run(gateway: str, rate: float, seconds: float) -> None:
    click.echo(f"{rate:g} quotes/s, 4 charges/s, 1 report/s, a photograph each 10 s, for {seconds:g} s: {gateway}")
    async with aiohttp.ClientSession(gateway, connector=aiohttp.TCPConnector(limit=3 * MOST_UNDER_WAY)) as session:
        tallies = await keep_going(works(session, rate), seconds)
    click.echo("over")
    _say(tallies)


def works(session: aiohttp.ClientSession, rate: float) -> list[Work]:
    """All that there is to do."""

    async def quote(number: int) -> str:
        return await _became(session.get(f"/quote/{ITEMS[number % len(ITEMS)]}"))

    async def charge(number: int) -> str:
        order = {"order": number, "cents": 100 + number % 900}
        # Without waiting: what fails is tried again, and kept when it fails for good.
        return await _became(session.post("/charge", json=order, headers={"Faas-Invocation-Type": "async"}))

    async def report(number: int) -> str:
        return await _became(session.get(f"/report/2026-11-{number % 28 + 1:02}"))

    async def photo(number: int) -> str:
        original = ORIGINALS[number % len(ORIGINALS)]
        await _faas("cp", str(original), f"photos:in/{number:03}-{original.name}")
        return "ok"

    return [
        Work("quotes", rate, quote),
        Work("charges", 4, charge),
        Work("reports", 1, report),
        Work("photos", 0.1, photo),
    ]


async def _became(asked: Awaitable[aiohttp.ClientResponse]) -> str:
    try:
        answer = await asked
        body = await answer.read()
    except aiohttp.ClientError as error:
        return type(error).__name__
    if answer.status < 400:
        return "ok" if answer.status == 200 else "accepted"
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["code"])
    return str(answer.status)


async def _faas(*arguments: str) -> bytes:
    """What a command of the command line prints. Raises `subprocess.CalledProcessError`."""
    command = [sys.executable, "-m", "faas.cli.main", *arguments]
    running = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out, _ = await running.communicate()
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return out


async def keep_going(all_of_it: list[Work], seconds: float) -> dict[str, Tally]:
    """Send all kinds side by side for so long; what became of them. What is under way at the end is awaited."""
    tallies = {work.name: Tally() for work in all_of_it}
    async with asyncio.TaskGroup() as group:
        sending = [group.create_task(_send_each(work, tallies[work.name], seconds)) for work in all_of_it]
        saying = group.create_task(_say_now_and_then(tallies))
        await asyncio.wait(sending)
        saying.cancel()
    return tallies


async def _send_each(work: Work, tally: Tally, seconds: float) -> None:
    began = time.monotonic()
    under_way: set[asyncio.Task[None]] = set()
    for number in itertools.count() if work.per_s else ():
        due = number / work.per_s
        if due >= seconds:
            break
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        if len(under_way) >= MOST_UNDER_WAY:
            tally.became["left out"] += 1
            continue
        task = asyncio.create_task(_send(work, number, tally))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


async def _send(work: Work, number: int, tally: Tally) -> None:
    began = time.monotonic()
    try:
        became = await work.send(number)
    except subprocess.CalledProcessError:
        became = "refused"
    tally.add(became, (time.monotonic() - began) * 1_000)


async def _say_now_and_then(tallies: dict[str, Tally]) -> None:
    while True:
        await asyncio.sleep(_SAY_EVERY_S)
        _say(tallies)


def _say(tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        click.echo(f"  {name:<8} {tally}")
    click.echo()


if __name__ == "__main__":
    main()
