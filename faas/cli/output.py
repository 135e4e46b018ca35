"""What the command line prints: data on stdout (a table or JSON), talk on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from faas.cli import terminal

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 100_000
"""The width of a table that no terminal shows: scripts get whole lines."""


def emit(value: Any) -> None:
    """Print ``value`` as one JSON document on stdout: indented on a terminal, one line otherwise."""
    indent = 2 if sys.stdout.isatty() else None
    line_of_json(json.dumps(value, indent=indent, ensure_ascii=False))


def line_of_json(document: str) -> None:
    """Print a JSON document as it is written, on stdout."""
    _write(terminal.shown_json(document, sys.stdout))


def line(text: str = "", *, raw: bool = False) -> None:
    """One line of data, on stdout. With ``raw`` a terminal gets it as it is, too."""
    _write(text if raw else terminal.shown(text, sys.stdout))


def say(text: str, *, raw: bool = False) -> None:
    """One line of talk, on stderr. With ``raw`` a terminal gets it as it is, too."""
    _write(text if raw else terminal.shown(text, sys.stderr), err=True)


def _write(text: str, *, err: bool = False) -> None:
    # Without a colour's word click takes escapes out of what goes to a pipe: that is somebody's data.
    click.echo(text, err=err, color=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, total: Sequence[Any] | None = None) -> None:
    """Print rows under their columns on stdout. Columns of numbers stand to the right."""
    from rich import box
    from rich.table import Table

    cells = [tuple(terminal.shown(_cell(value), sys.stdout) for value in row) for row in rows]
    drawn = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, show_footer=total is not None, pad_edge=False)
    footer = [_cell(value) for value in total] if total is not None else [""] * len(columns)
    for at, (column, foot) in enumerate(zip(columns, footer, strict=True)):
        right = bool(cells) and all(_is_number(row[at]) for row in cells)
        drawn.add_column(column, footer=foot, justify="right" if right else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*row)
    console().print(drawn, markup=False)


def console(*, stderr: bool = False) -> Console:
    """A console of rich that honours NO_COLOR and, where there is no terminal, neither colours nor wraps."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNBOUNDED
    return Console(stderr=stderr, highlight=False, soft_wrap=False, markup=False, width=width)


def money(pico: int, currency: str) -> str:
    """Pico-units as an amount, to the nano-unit: ``money(1_500_000_000, "USD")`` is ``0.001500000 USD``."""
    nano = (pico + 500) // 1_000
    return f"{nano // 10**9}.{nano % 10**9:09d} {currency}"


def duration(milliseconds: float) -> str:
    """A duration that a person reads at a glance: ``0.42 ms``, ``12 ms``, ``3.2 s``, ``4 min``."""
    if milliseconds < 10:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1_000:.1f} s" if milliseconds < 120_000 else f"{milliseconds / 60_000:.0f} min"


def moment(at_ms: int) -> str:
    """A moment in local time, to the second."""
    from datetime import datetime

    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text == "-"
