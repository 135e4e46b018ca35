"""The tables of torture in the documentation: a column or two for each seed. Runs of other seeds keep theirs."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from pathlib import Path

from tests import machine, marked
from tests.torture import checker, table

PATH = Path(__file__).parents[2] / "docs" / "explanation" / "durability.md"
Table = dict[str, dict[str, str]]
"""Cells by row and heading."""


def write(
    seed: int,
    minutes: float,
    seen: checker.Facts,
    run: table.Run,
    violations: Sequence[checker.Violation],
    path: Path = PATH,
) -> None:
    """Put what a run gave beside what other seeds gave. Raises `ValueError` when the page has no place for it."""
    made = {
        "faults": faults(seed, run),
        "figures": {**_circumstances(seed, minutes), **figures(seed, seen, run, violations)},
    }
    page = path.read_text()
    for name, cells in made.items():
        old = parse(marked.between(page, f"torture:{name}"))
        page = marked.replaced(page, f"torture:{name}", render(merged(old, cells)))
    path.write_text(page)


def faults(seed: int, run: table.Run) -> Table:
    """How often each fault came, and what it cost at most; the sum is the last row."""
    rows = [(kind, times, run.recovered_s.get(kind, [])) for kind, times in sorted(run.done.items())]
    every = [took for each in run.recovered_s.values() for took in each]
    return {
        kind: {
            f"seed {seed}: times": str(times),
            f"seed {seed}: worst recovery, s": f"{max(took):.1f}" if took else "-",
        }
        for kind, times, took in [*rows, ("all", sum(run.done.values()), every)]
    }


def figures(seed: int, seen: checker.Facts, run: table.Run, violations: Sequence[checker.Violation]) -> Table:
    """How invocations ended, and what else there was to count."""
    finals = [each for each in seen.attempts if each.is_final]
    ends = collections.Counter(each.status for each in finals)
    taken = table.taken_over_s(seen.attempts, run.losses).values()
    counted = {
        "invocations, each with one end": len(finals),
        **{f"of these `{status}`": count for status, count in sorted(ends.items())},
        "attempts, each with one record": len(seen.attempts),
        "uploads, each handled": len(seen.uploaded),
        "dead letters": len(seen.letters),
        "requests refused": run.refused,
        "connections broken": run.broken,
        "taken over from lost nodes": len(taken),
    }
    cells = {row: f"{count:,}" for row, count in counted.items()}
    cells |= {"the last of them after, s": f"{max(taken, default=0.0):.1f}", "violations": str(len(violations))}
    return {row: {f"seed {seed}": cell} for row, cell in cells.items()}


def _circumstances(seed: int, minutes: float) -> Table:
    said = {"minutes": f"{minutes:g}", **machine.facts()}
    return {row: {f"seed {seed}": cell} for row, cell in said.items()}


def merged(old: Table, new: Table) -> Table:
    """Both, with the cells of the newer one where both have some; a row that only one has keeps its neighbour."""
    order = list(new)
    previous = ""
    for row in old:
        if row not in new:
            order.insert(order.index(previous) + 1 if previous else 0, row)
        previous = row
    return {row: {**old.get(row, {}), **new.get(row, {})} for row in order}


def parse(text: str) -> Table:
    """A table in Markdown; none where there is no text."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    if not lines:
        return {}
    headings, _, *rows = lines
    return {row[0]: dict(zip(headings[1:], row[1:], strict=True)) for row in rows}


def render(cells: Table) -> str:
    """The same as a table in Markdown, seed by seed; ``-`` where a run says nothing."""
    headings = list(dict.fromkeys(heading for row in cells.values() for heading in row))
    headings.sort(key=_seed)  # stable: the columns of one seed keep their order
    rows = [[name, *(row.get(heading, "-") for heading in headings)] for name, row in cells.items()]
    return marked.table(["", *headings], rows, 1)


def _seed(heading: str) -> int:
    found = re.search(r"\d+", heading)
    return int(found[0]) if found else 0
