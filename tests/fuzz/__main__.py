"""`make fuzz`: inputs without end for each edge, each edge in a process of its own, and what was found."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import click

from tests.fuzz import apart, catalog, running

_FOUND = Path("build") / "fuzz"


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=1.0, show_default=True, help="For all edges together.")
@click.option("--only", type=click.Choice(tuple(catalog.EDGES)), multiple=True, help="This edge only, or these.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which inputs are tried, and in which order.")
@click.option("--replay", type=click.Path(exists=True, path_type=Path), help="Try this one input; needs --only.")
def main(minutes: float, only: tuple[str, ...], seed: int, replay: Path | None) -> None:
    """Ends with 0 when no input did what none may, and with 1 when one did: it is kept, and named with what it did."""
    if replay is not None:
        if len(only) != 1:
            raise click.UsageError("--replay needs the edge: --only NAME")
        sys.exit(_replayed(only[0], replay))
    chosen = only or tuple(catalog.EDGES)
    reports = [_run(name, seed, minutes * 60 / len(chosen)) for name in chosen]
    click.echo(f"\nseed {seed}, {minutes:g} minutes\n\n{table(reports)}")
    found = [finding for report in reports for finding in report.findings]
    for finding in found:
        click.echo(f"\nFOUND ({finding.edge}): {finding.where}\n  input: {_kept(finding)}\n{finding.what}")
    sys.exit(1 if found else 0)


def table(reports: list[running.Report]) -> str:
    """What was tried, as a table."""
    heads = ("edge", "inputs", "a second", "different answers", "memory, MiB", "longest, ms", "findings")
    rows = [heads, ("---",) * len(heads), *(_row(one) for one in (*reports, _sum(reports)))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(one: running.Report) -> tuple[str, ...]:
    rate = one.inputs / one.seconds if one.seconds else 0
    memory = f"{one.start_kib / 1024:.0f} to {one.end_kib / 1024:.0f}" if one.end_kib else ""
    counts = (f"{one.inputs:,}", f"{rate:,.0f}", f"{one.ways:,}", memory, f"{one.longest_s * 1000:.0f}")
    return one.edge, *counts, str(len(one.findings))


def _sum(reports: list[running.Report]) -> running.Report:
    total = running.Report("all")
    for one in reports:
        total.inputs, total.seconds = total.inputs + one.inputs, total.seconds + one.seconds
        total.ways, total.longest_s = total.ways + one.ways, max(total.longest_s, one.longest_s)
        total.findings += one.findings
    return total


def _run(name: str, seed: int, seconds: float) -> running.Report:
    click.echo(f"{name} for {seconds:.0f} s", err=True)
    return apart.run(name, seed, running.Until(seconds=seconds), seconds)


def _replayed(name: str, file: Path) -> int:
    async def go() -> list[running.Finding]:
        kind = catalog.EDGES[name]
        async with catalog.around(kind) as given:
            return await running.replay(kind(), given, {file.name: file.read_bytes()})

    found = asyncio.run(go())
    for finding in found:
        click.echo(f"{finding.where}\n{finding.what}")
    return 1 if found else 0


def _kept(finding: running.Finding) -> Path:
    """Keep an input that did what none may; where it is."""
    folder = _FOUND / finding.edge
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / hashlib.sha256(finding.given).hexdigest()[:12]
    file.write_bytes(finding.given)
    return file


if __name__ == "__main__":
    main()
