"""What the command line prints: data on stdout (a table or JSON), talk on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from faas.cli import given, layout, terminal

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 100_000
"""The width of progress that no terminal shows: scripts get whole lines."""

_LONG = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"))

PLACES = {"retrying": "due later"}
"""What people read for a place whose name in JSON says less: delayed calls wait there, too."""


def emit(value: Any) -> None:
    """Print ``value`` as one JSON document on stdout: indented on a terminal, one line otherwise."""
    # For `jq` and its like one line is as good, and a stream of documents can be cut at its lines.
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


def table(
    columns: Sequence[str | layout.Column], rows: Iterable[Sequence[Any]], *, total: Sequence[Any] | None = None
) -> None:
    """Print rows under their columns on stdout; on a terminal they fit it (`faas.cli.layout`)."""
    drawn = layout.Table(
        tuple(each if isinstance(each, layout.Column) else layout.Column(each) for each in columns),
        tuple(_row(row) for row in rows),
        None if total is None else _row(total),
    )
    header, *rest = layout.lines(drawn, width())
    _write("\n".join([click.style(header, bold=True) if _has_styles() else header, *rest]))


def facts(found: Iterable[tuple[str, str]], indent: int = 12) -> None:
    """Print labels with their values, one a line; on a terminal a long value goes on under its beginning."""
    for label, value in found:
        _fact(f"{label:<{indent}}", terminal.shown(value, sys.stdout), indent)


def _fact(label: str, value: str, indent: int) -> None:
    room = width()
    if room is None or layout.size(value) + indent <= room:
        _write(label + value)
        return
    import textwrap

    room = max(room - indent, 20)
    parts = [part for line in value.splitlines() for part in textwrap.wrap(line, room, break_on_hyphens=False) or [""]]
    for at, part in enumerate(parts):
        _write((label if at == 0 else " " * indent) + part)


def width() -> int | None:
    """How wide the terminal is that gets the data; None where there is none, and nothing is shortened."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say_cut(count: int, limit: int) -> None:
    """Say on stderr that a list may go on, when it is as long as the default limit."""
    if count >= limit and given.is_default("limit"):
        say(f"faas: the first {limit} are shown; --limit shows more")


def _has_styles() -> bool:
    return sys.stdout.isatty() and not console().is_dumb_terminal


def _row(row: Sequence[Any]) -> layout.Row:
    return tuple(" ".join(terminal.shown(_cell(value), sys.stdout).splitlines()) for value in row)


def console(*, stderr: bool = False) -> Console:
    """A console of rich that honours NO_COLOR and, where there is no terminal, neither colours nor wraps."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNBOUNDED
    return Console(stderr=stderr, highlight=False, soft_wrap=False, markup=False, width=width)


def short_id(text: str) -> str:
    """An id as a terminal shows it: a beginning that tells it from its neighbours. Whole where there is none."""
    return text[: layout.SHORT_ID] if sys.stdout.isatty() else text


def money(pico: int, currency: str) -> str:
    """Pico-units as an amount, to the nano-unit: ``money(1_500_000_000, "USD")`` is ``0.001500000 USD``."""
    nano = (pico + 500) // 1_000
    return f"{nano // 10**9}.{nano % 10**9:09d} {currency}"


def duration(milliseconds: float) -> str:
    """A duration that a person reads at a glance: ``0.42 ms``, ``12 ms``, ``3.2 s``, ``4 min``, ``6 h``."""
    if milliseconds < 10:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.1f} s"
    whole = next((each for each in _LONG if milliseconds >= 2 * each[0] and not milliseconds % each[0]), _LONG[-1])
    return f"{milliseconds / whole[0]:.0f} {whole[1]}"


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
