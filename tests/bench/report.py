"""What the benchmark prints: a table of figures a part, and one of the aims with what was measured. It never judges
by an exit code: a machine under load is no defect of the platform."""

from __future__ import annotations

import os
import platform as machine
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench import rounds


class Figure(msgspec.Struct, frozen=True):
    """A column: the figure's name in samples, its heading, and how many decimals it is shown with.

    With ``against`` it is a ratio to that contender's figure of the same name. Where many columns stand side by side,
    those without ``has_spread`` show the median only.
    """

    name: str
    title: str
    decimals: int
    against: str = ""
    has_spread: bool = True

    def of(self, samples: Sequence[rounds.Sample], case: str, contender: str) -> rounds.Spread | None:
        """What stands in this column, or None."""
        ours = rounds.figure(samples, case, contender, self.name)
        if not self.against:
            return rounds.spread(ours.values()) if ours else None
        theirs = rounds.figure(samples, case, self.against, self.name)
        return rounds.ratio(ours, theirs) if ours.keys() & theirs.keys() else None

    def cell(self, samples: Sequence[rounds.Sample], case: str, contender: str) -> str:
        """The same for people."""
        found = self.of(samples, case, contender)
        if found is None or self.has_spread:
            return shown(found, self.decimals)
        return f"{found.median:,.{self.decimals}f}"


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What a ratio of two contenders' figures ought to be: at most ``most`` or at least ``least``."""

    case: str
    contender: str
    figure: str
    against: str
    against_figure: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def words(self) -> str:
        """The aim for people."""
        return f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio is on the right side."""
        return (self.most is None or ratio <= self.most) and (self.least is None or ratio >= self.least)

    def measured(self, samples: Sequence[rounds.Sample]) -> rounds.Spread | None:
        """The ratio over the rounds, or None when a contender has no samples."""
        ours = rounds.figure(samples, self.case, self.contender, self.figure)
        theirs = rounds.figure(samples, self.case, self.against, self.against_figure or self.figure)
        return rounds.ratio(ours, theirs) if ours.keys() & theirs.keys() else None


def console() -> Console:
    """Where tables go; wide where there is no terminal, so that no cell is wrapped."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def facts(count: int) -> str:
    """One line about the machine and how to read what follows."""
    return (
        f"{os.cpu_count()} processors, {machine.system()} {machine.release()}, Python {machine.python_version()}; "
        f"medians of {count} interleaved rounds, with the least and the greatest in brackets"
    )


def figures(title: str, samples: Sequence[rounds.Sample], columns: Sequence[Figure]) -> Table:
    """Every contender's figures, case by case."""
    table = Table(title=title, title_justify="left")
    table.add_column("case")
    table.add_column("contender")
    for column in columns:
        table.add_column(column.title, justify="right")
    previous = ""
    for case, contender in rounds.names(samples):
        if case != previous:
            table.add_section()
        cells = [column.cell(samples, case, contender) for column in columns]
        table.add_row(case if case != previous else "", contender, *cells)
        previous = case
    return table


def aims(title: str, samples: Sequence[rounds.Sample], wanted: Sequence[Aim]) -> Table:
    """Each aim as a ratio, taken round by round."""
    table = Table(title=title, title_justify="left")
    for heading in ("case", "ratio", "measured", "aim", "met"):
        table.add_column(heading, justify="right" if heading in ("measured", "aim") else "left")
    for aim in wanted:
        found = aim.measured(samples)
        ratio = f"{aim.contender}: {aim.figure} / {aim.against}"
        met = "-" if found is None else "yes" if aim.is_met(found.median) else "no"
        table.add_row(aim.case, ratio, shown(found, 2), aim.words, met)
    return table


def complaints(samples: Sequence[rounds.Sample]) -> list[str]:
    """A line for each contender that was not measured as it should have been: refused calls, another kind of start."""
    lines = []
    for case, contender in rounds.names(samples):
        wrong = sum(rounds.figure(samples, case, contender, "wrong").values())
        if wrong:
            lines.append(f"note: {case}, {contender}: {wrong:.0f} answers were wrong; do not trust this row")
    return lines


def shown(found: rounds.Spread | None, decimals: int) -> str:
    """One figure over its rounds; ``-`` where there is none."""
    return spread(found, decimals) if found else "-"


def spread(found: rounds.Spread, decimals: int) -> str:
    """``median (least-greatest)``."""
    median, low, high = (f"{value:,.{decimals}f}" for value in (found.median, found.low, found.high))
    return f"{median} ({low}-{high})"
