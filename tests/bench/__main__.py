"""`make bench`: times the platform and what it is compared with, on this machine, in one go.

A part takes at most some three minutes. Everything that it starts ends with it.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.bench import cold_part, http_part, queue_part, report

_PARTS = {
    "http": ("Warm HTTP calls: POST of a small JSON", http_part),
    "cold": ("Cold starts: wall time of a call, as its caller sees it", cold_part),
    "queue": ("Empty async jobs", queue_part),
}


@click.command()
@click.option("--only", type=click.Choice(list(_PARTS)), multiple=True, help="Parts to run; all when none is named.")
@click.option("--rounds", "count", type=click.IntRange(1, 50), default=5, show_default=True)
def main(only: tuple[str, ...], count: int) -> None:
    """Print medians with their spread over interleaved rounds, and the ratios that the project aims at."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # unwinds, so that everything started is ended
    out = report.console()
    out.print(report.facts(count))
    for name in only or _PARTS:
        title, part = _PARTS[name]
        with tempfile.TemporaryDirectory(prefix="faas-bench-") as home:
            samples = part.measure(Path(home), count, lambda line: click.echo(line, err=True))
        out.print()
        out.print(report.figures(title, samples, part.FIGURES))
        out.print(report.aims("Aims", samples, part.AIMS))
        for line in report.complaints(samples):
            out.print(line)


if __name__ == "__main__":
    main()
