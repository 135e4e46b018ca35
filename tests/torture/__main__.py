"""`make torture`: the real platform under seeded work and seeded faults, checked from outside."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import click

from faas.core import errors
from faas.queue import invocations
from tests.torture import checker, facts, faults, load, plan, stage, table

_QUIET_WITHIN_S = 180.0
_RECOVERS_WITHIN_S = 60.0
_WARM_S = 5.0
_DISK = "size=1500m,mode=755"


class Torture:
    """One run on one stage."""

    def __init__(self, on: stage.Stage, seed: int, seconds: float, every_s: float, clients: int) -> None:
        self._stage = on
        self._seconds = seconds
        self._plan = plan.faults(seed, seconds, every_s)
        self._clients_count = clients
        told = on.platform.facts
        token = Path(told["token_file"]).read_text().strip()
        self._gateway = told["gateway"]
        self.clients = load.Clients(told["gateway"], told["api"], token, plan.work(seed))
        self.faults = faults.Faults(on, self.clients)
        self.recovered_s: dict[str, float] = {}

    async def run(self) -> checker.Facts:
        """Work and faults, then quiet, then what is seen."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.clients.work(self._clients_count))
            group.create_task(self._do_faults())
            start = group.create_task(self._look_at_start())
        queue = await self._quiet()
        seen = await facts.collect(self._stage, self.clients.promises, queue)
        left = await facts.redis_leftovers(queue) + facts.grown(start.result(), facts.processes(self._stage))
        queue.close()
        return checker.with_leftovers(seen, left)

    async def _look_at_start(self) -> dict[str, facts.Process]:
        """What the processes hold once they are at work."""
        await asyncio.sleep(_WARM_S)
        return facts.processes(self._stage)

    async def _do_faults(self) -> None:
        began = time.monotonic()
        for fault in self._plan:
            await asyncio.sleep(max(began + fault.at_s - time.monotonic(), 0))
            if time.monotonic() - began > self._seconds:
                break
            self._say(f"{time.monotonic() - began:6.1f} s  {fault.kind}")
            names = set(self._stage.processes())
            if await self.faults.do(fault):
                took = await self._recovery_s(names)
                self.recovered_s[fault.kind] = max(took, self.recovered_s.get(fault.kind, 0.0))
        await asyncio.sleep(max(began + self._seconds - time.monotonic(), 0))
        self.clients.stop.set()

    async def _recovery_s(self, names: set[str]) -> float:
        """From the fault's end until every process is there and a call through each side is answered."""
        began = time.monotonic()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
            while time.monotonic() - began < _RECOVERS_WITHIN_S:
                await asyncio.to_thread(self._keep_beside)
                if names <= set(self._stage.processes()) and await self._answers(session):
                    break
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    def _keep_beside(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: its log cannot be opened
            self._stage.keep_beside()

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.post(f"{self._gateway}/fn/echo", data="probe") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _quiet(self) -> invocations.Queue:
        """Wait until nothing is under way. Timers go on: an instant without work is enough."""
        until = time.monotonic() + _QUIET_WITHIN_S
        queue = await self._connected(until)
        # What is awaited happens in other processes.
        while await facts.unsettled(queue) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return queue

    async def _connected(self, until: float) -> invocations.Queue:
        while True:
            try:
                return await facts.connect(self._stage)
            except errors.Unavailable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.1)

    def _say(self, line: str) -> None:
        click.echo(line, err=True)


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=1.0, show_default=True, help="How long to torture.")
@click.option("--seed", type=int, default=1, show_default=True, help="What is done, and when.")
@click.option("--every", "every_s", type=float, default=5.0, show_default=True, help="Seconds from fault to fault.")
@click.option("--clients", type=click.IntRange(1, 256), default=12, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the logs there.")
def main(minutes: float, seed: int, every_s: float, clients: int, keep: Path | None) -> None:
    """Ends with 0 when every promise was kept, and with 1, the seed and the histories when not."""
    with _disk() as home:
        with stage.open_stage(home) as on:
            torture = Torture(on, seed, minutes * 60, every_s, clients)
            seen = asyncio.run(torture.run())
        logs = on.platform.logs()
        seen = checker.with_leftovers(seen, facts.left_on_disk(on))
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"seed-{seed}.log").write_text(logs)
    violations = checker.check(seen)
    told = torture.clients.promises
    click.echo(f"seed {seed}, {minutes:g} minutes")
    click.echo(
        table.report(seen, torture.faults.done, torture.recovered_s, violations, (told.sent, told.refused, told.broken))
    )
    for violation in violations[:20]:
        click.echo(f"VIOLATION (seed {seed}): {violation.what} {violation.invocation_id}")
        click.echo(table.history(seen, violation.invocation_id, logs) if violation.invocation_id else "")
    sys.exit(1 if violations else 0)


@contextlib.contextmanager
def _disk() -> Iterator[Path]:
    """A folder, on a small file system of its own where one may be mounted: it will be filled."""
    with tempfile.TemporaryDirectory(prefix="faas-torture-") as home:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", home], check=False, capture_output=True)
        try:
            yield Path(home)
        finally:
            if mounted.returncode == 0:
                subprocess.run(["umount", "--lazy", home], check=True)


if __name__ == "__main__":
    main()
