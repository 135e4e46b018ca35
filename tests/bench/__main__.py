"""`make bench`: times the platform and what it is compared with, on this machine, in one go.

A part takes at most some three minutes. Everything that it starts ends with it.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.bench import cold_part, cpu_part, growth_part, http_part, observe_part, page, queue_part, report, wanted

PARTS = {
    "cpu": ("Processor time of a call, of all processes", cpu_part),
    "http": ("Warm HTTP calls: POST of a small JSON", http_part),
    "cold": ("Cold starts: wall time of a call, as its caller sees it", cold_part),
    "queue": ("Empty async jobs", queue_part),
    "growth": ("What merely exists", growth_part),
    "observe": ("What people look at, on a ledger that has much in it", observe_part),
}


def _numbers(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    try:
        return wanted.numbers(text or "")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="Parts to run; all when none is named.")
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True)
@click.option("--clients", callback=_numbers, help="Numbers of clients (cpu, http), as in 1,8,32.")
@click.option("--seconds", type=click.IntRange(1, 60), help="How long each load lasts (cpu, http, queue).")
@click.option("--rows", type=click.IntRange(1_000), help="Records and log lines of the ledger (observe).")
@click.option("--nodes", callback=_numbers, help="Numbers of nodes (cpu): a platform is started for each, as in 1,2,4.")
@click.option("--write", is_flag=True, help=f"Write the tables of each part into {page.PATH.name} too.")
def main(only: tuple[str, ...], write: bool, **asked: Any) -> None:
    """Print medians with their spread over interleaved rounds, and the ratios that the project aims at."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # unwinds, so that everything started is ended
    out = report.console()
    chosen = wanted.Wanted(**{name: value for name, value in asked.items() if value})
    facts = page.facts(chosen.rounds)
    out.print(facts, soft_wrap=True)
    for name in only or PARTS:
        title, part = PARTS[name]
        with tempfile.TemporaryDirectory(prefix="faas-bench-") as home:
            samples = part.measure(Path(home), chosen, lambda line: click.echo(line, err=True))
        out.print()
        out.print(report.figures(title, samples, part.FIGURES))
        out.print(report.aims("Aims", samples, part.AIMS))
        notes = [*report.complaints(samples), *part.notes()]
        for line in notes:
            out.print(line)
        if write:
            page.write(name, facts, page.tables(samples, part.FIGURES, part.AIMS, notes))


if __name__ == "__main__":
    main()
