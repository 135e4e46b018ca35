"""`make torture`: the real platform under seeded work and seeded faults, checked from outside."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from faas.core import errors
from faas.queue import invocations
from tests.torture import checker, facts, faults, load, page, plan, recovery, stage, table

_QUIET_WITHIN_S = 180.0
_WARM_S = 5.0
_DEPLOY_EVERY_S = 20.0
_DISK = "size=1500m,mode=755"


class Torture:
    """One run on one stage."""

    def __init__(self, on: stage.Stage, seed: int, seconds: float, todo: Iterator[plan.Fault], clients: int) -> None:
        self._stage = on
        self._seconds = seconds
        self._plan = todo
        self._clients_count = clients
        told = on.platform.facts
        self._api = told["api"]
        token = Path(told["token_file"]).read_text().strip()
        self._headers = {"Authorization": f"Bearer {token}"}
        self.clients = load.Clients(told["gateway"], told["api"], token, plan.work(seed))
        self.faults = faults.Faults(on, told["gateway"], self.clients.promises)
        self._probe = recovery.Probe(on, told["gateway"], self.clients.promises)
        self._recovered_s: dict[str, list[float]] = collections.defaultdict(list)
        self._deploys = 0
        self._held: dict[str, tuple[facts.Process, facts.Process]] = {}

    async def run(self) -> checker.Facts:
        """Work and faults, then quiet, then what is seen."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.clients.work(self._clients_count))
            deploys = group.create_task(self._deploy_now_and_then())
            start = group.create_task(self._look_at_start())
            await self._do_faults()
            self.clients.stop.set()
            await deploys
        queue = await self._quiet()
        seen = await facts.collect(self._stage, self.clients.promises, queue)
        unknown = await facts.unknown(self._api, self._headers, seen.accepted)
        self._stage.clock.jump(
            stage.FAR_S
        )  # what is kept for a while is kept by the wall clock, which was set back too
        left = await self._leftovers(queue, start.result())
        queue.close()
        self._say("checked what there was to see; ending")
        return checker.with_leftovers(checker.with_unknown(seen, unknown), left)

    def told(self) -> table.Run:
        """What happened."""
        promises = self.clients.promises
        return table.Run(
            done=self.faults.done,
            recovered_s=self._recovered_s,
            losses=self.faults.losses,
            held=self._held,
            sent=promises.sent,
            refused=promises.refused,
            broken=promises.broken,
            hung_up=promises.hung_up,
            deploys=self._deploys,
        )

    async def _look_at_start(self) -> dict[str, facts.Process]:
        """What the processes hold once all of them are at work."""
        await asyncio.sleep(_WARM_S)
        while not (held := facts.processes(self._stage)).keys() >= stage.ALL:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return held

    async def _do_faults(self) -> None:
        began = time.monotonic()
        await asyncio.sleep(_WARM_S)
        for fault in self._plan:
            await asyncio.sleep(fault.gap_s)
            if time.monotonic() - began > self._seconds:
                return
            self._say(f"{time.monotonic() - began:7.1f} s  {fault.kind}")
            over = await self.faults.do(fault)
            if over is not None:
                took = await self._probe.recovered_s(over)
                self._say(f"{time.monotonic() - began:7.1f} s  works again after {took:.1f} s")
                self._recovered_s[fault.kind].append(took)

    async def _deploy_now_and_then(self) -> None:
        while not self.clients.stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.clients.stop.wait(), _DEPLOY_EVERY_S)
            self._deploys += await asyncio.to_thread(self._stage.deploy)

    async def _quiet(self) -> invocations.Queue:
        """Take the timer away, and wait until nothing is under way, for as long as that becomes less."""
        until = time.monotonic() + _QUIET_WITHIN_S
        done = await asyncio.to_thread(self._stage.platform.faas, "rm", "ticks", "--yes")
        assert done.returncode == 0, done.stderr
        queue = await self._connected(until)
        least = left = await facts.unsettled(self._stage, queue)
        while left and time.monotonic() < until:
            await asyncio.sleep(0.05)
            left = await facts.unsettled(self._stage, queue)
            # A machine that others use too may have tens of thousands of calls left to run.
            if left < least:
                least, until = left, time.monotonic() + _QUIET_WITHIN_S
        if left:
            self._say(f"{left} are not settled, and {_QUIET_WITHIN_S:.0f} s brought no fewer")
        return queue

    async def _leftovers(self, queue: invocations.Queue, start: dict[str, facts.Process]) -> list[str]:
        """Once what is kept for a while has gone."""
        until = time.monotonic() + 2 * stage.KEPT_S
        while await facts.expiring(queue) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(1)
        end = facts.processes(self._stage)
        self._held = {name: (start.get(name, facts.Process(0, 0)), now) for name, now in end.items()}
        kept = [f"key {key}, long after its time" for key in (await facts.expiring(queue))[:20]]
        return kept + await facts.redis_leftovers(queue) + facts.grown(start, end) + self._stage.ended

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
@click.option("--seed", type=int, default=1, show_default=True, help="What is done, and in which order.")
@click.option("--gap", "gap_s", type=float, default=0.2, show_default=True, help="Mean seconds from one to the next.")
@click.option("--clients", type=click.IntRange(1, 256), default=6, show_default=True)
@click.option("--recovers-within", "within_s", type=float, default=table.RECOVERY_S, show_default=True, help="Seconds.")
@click.option(
    "--only", type=click.Choice((*plan.FAULTS, *plan.LONG)), multiple=True, help="Only faults of this kind, or these."
)
@click.option("--write", is_flag=True, help=f"Put the tables into {page.PATH.name}, beside those of other seeds.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the logs there.")
def main(
    minutes: float,
    seed: int,
    gap_s: float,
    clients: int,
    within_s: float,
    only: tuple[str, ...],
    write: bool,
    keep: Path | None,
) -> None:
    """Ends with 0 when every promise was kept, and with 1, the seed and the histories when not."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended then too
    with _disk() as home:
        with stage.open_stage(home) as on, _kept_logs(on, keep):
            torture = Torture(
                on, seed, minutes * 60, plan.faults(seed, gap_s, only or (*plan.FAULTS, *plan.LONG)), clients
            )
            seen = asyncio.run(torture.run())
            on.end()
            seen = checker.with_leftovers(seen, facts.left_on_disk(on))
        logs = on.platform.logs()
    run = torture.told()
    violations = (*checker.check(seen), *table.slow_recoveries(run, seen.attempts, within_s))
    click.echo(f"seed {seed}, {minutes:g} minutes\n\n{table.report(seen, run, violations)}")
    if write:
        page.write(seed, minutes, seen, run, violations)
    for violation in violations[:20]:
        click.echo(f"VIOLATION (seed {seed}): {violation.what} {violation.invocation_id}")
        click.echo(table.history(seen, violation.invocation_id, logs) if violation.invocation_id else "")
    sys.exit(1 if violations else 0)


@contextlib.contextmanager
def _kept_logs(on: stage.Stage, keep: Path | None) -> Iterator[None]:
    """Copy the logs, and Redis's, into a folder when it is over, whatever became of it."""
    try:
        yield
    finally:
        if keep is not None:
            shutil.copytree(on.platform.data / "logs", keep, dirs_exist_ok=True)
            shutil.copy(on.platform.data / "redis" / "redis.log", keep)


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
