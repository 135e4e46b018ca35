"""What the benchmark prints: a table of figures a part, and one of the aims with what was measured. It never judges
by an exit code: a machine under load is no defect of the platform."""

from __future__ import annotations

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
    """What a figure ought to be, or its ratio to another: at most ``most`` or at least ``least``.

    ``against`` is another contender, or the same one when ``against_case`` is another case; without it the figure
    itself is meant. The median counts, or with ``always`` the worst round.
    """

    case: str
    contender: str
    figure: str
    against: str = ""
    against_case: str = ""
    most: float | None = None
    least: float | None = None
    always: bool = False

    @property
    def words(self) -> str:
        """The aim for people."""
        limit = f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"
        return f"always {limit}" if self.always else limit

    @property
    def what(self) -> str:
        """What is aimed at, for people."""
        ours = f"{self.contender}: {self.figure}"
        if not self.against:
            return ours
        theirs = self.against if self.against != self.contender else "its own"
        return f"{ours} / {theirs}" + (f" at {self.against_case}" if self.against_case else "")

    def is_met(self, found: rounds.Spread) -> bool:
        """Whether what was measured is on the right side."""
        most, least = (found.high, found.low) if self.always else (found.median, found.median)
        return (self.most is None or most <= self.most) and (self.least is None or least >= self.least)

    def measured(self, samples: Sequence[rounds.Sample]) -> rounds.Spread | None:
        """The figure or ratio over the rounds, or None when a contender has no samples."""
        ours = rounds.figure(samples, self.case, self.contender, self.figure)
        if not self.against:
            return rounds.spread(ours.values()) if ours else None
        theirs = rounds.figure(samples, self.against_case or self.case, self.against, self.figure)
        return rounds.ratio(ours, theirs) if ours.keys() & theirs.keys() else None

    def verdict(self, samples: Sequence[rounds.Sample]) -> str:
        """``yes``, ``no``, or ``-`` for what was not measured."""
        found = self.measured(samples)
        return "-" if found is None else "yes" if self.is_met(found) else "no"


def console() -> Console:
    """Where tables go; wide where there is no terminal, so that no cell is wrapped."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=200)


def figures(title: str, samples: Sequence[rounds.Sample], columns: Sequence[Figure]) -> Table:
    """Every contender's figures, case by case."""
    table = Table(title=title, title_justify="left")
    table.add_column("case")
    table.add_column("contender")
    for column in columns:
        table.add_column(column.title, justify="right")
    for row in rows(samples, columns):
        if row[0]:
            table.add_section()
        table.add_row(*row)
    return table


def rows(samples: Sequence[rounds.Sample], columns: Sequence[Figure]) -> list[list[str]]:
    """The cells of that table: a case stands in its first row only."""
    found: list[list[str]] = []
    previous = ""
    for case, contender in rounds.names(samples):
        cells = [column.cell(samples, case, contender) for column in columns]
        found.append([case if case != previous else "", contender, *cells])
        previous = case
    return found


def aims(title: str, samples: Sequence[rounds.Sample], wanted: Sequence[Aim]) -> Table:
    """Each aim; a ratio is taken round by round."""
    table = Table(title=title, title_justify="left")
    for heading in ("case", "what", "measured", "aim", "met"):
        table.add_column(heading, justify="right" if heading in ("measured", "aim") else "left")
    for aim in wanted:
        measured = shown(aim.measured(samples), 2)
        table.add_row(aim.case, aim.what, measured, aim.words, aim.verdict(samples))
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
