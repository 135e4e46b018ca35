"""How a deployment's steps are shown on stderr: a live list on a terminal, a line per finished step otherwise."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from faas.cli import output

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_MARKS = {"waiting": "·", "running": "…", "done": "✓", "skipped": "-", "failed": "✗"}
_STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "skipped": "dim", "failed": "bold red"}
_ENDED = ("done", "skipped", "failed")

MOST_ROWS = 20
"""Functions that a terminal shows at a time."""

Steps = Sequence[dict[str, Any]]
Rows = dict[str | None, list[dict[str, Any]]]


class Shown(Protocol):
    """Takes a deployment's steps each time that it is read."""

    def update(self, steps: Steps, new: Steps) -> None:
        """Show what is ``new`` of all the ``steps``."""


@contextlib.contextmanager
def show(*, quiet: bool) -> Iterator[Shown]:
    """What shows a deployment; nothing at all when ``quiet``."""
    if quiet:
        yield Nothing()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        from rich.live import Live

        with Live(console=output.console(stderr=True), refresh_per_second=8) as live:
            yield LiveList(live)


class Nothing:
    """For ``--json``."""

    def update(self, steps: Steps, new: Steps) -> None:
        """Say nothing."""


class Lines:
    """A plain line for each step, once it has ended."""

    def __init__(self) -> None:
        self._told: set[tuple[str | None, str]] = set()

    def update(self, steps: Steps, new: Steps) -> None:
        """Print the steps that have ended since the last time."""
        for step in new:
            key = (step["function"], step["name"])
            if step["state"] in _ENDED and key not in self._told:
                self._told.add(key)
                output.say(line(step))


class LiveList:
    """One row per function with its steps, drawn again in place; of many, those that something happens to."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def update(self, steps: Steps, new: Steps) -> None:
        """Draw the list as it is now."""
        self._live.update(_drawn(steps))


def line(step: dict[str, Any]) -> str:
    """A finished step as text: ``hello: resolve done in 1.2 s (3 packages)``."""
    took = _took(step)
    note = f" ({step['note']})" if step["note"] else ""
    return f"{step['function'] or 'project'}: {step['name']} {step['state']}{f' in {took}' if took else ''}{note}"


def _took(step: dict[str, Any]) -> str:
    if step["started_at_ms"] is None or step["ended_at_ms"] is None:
        return ""
    return output.duration(step["ended_at_ms"] - step["started_at_ms"])


def _drawn(steps: Steps) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    rows = _rows(steps)
    for owner, own in under_way(rows).items():
        cells = [Text(f"{_MARKS[step['state']]} {step['name']}{_long(step)}", _STYLES[step["state"]]) for step in own]
        grid.add_row(Text(owner or "project", "bold"), *cells)
    if len(rows) > MOST_ROWS:
        ended = sum(_has_ended(own) for own in rows.values())
        grid.add_row(Text(f"{ended} of {len(rows)} ready", "dim"))
    return grid


def _rows(steps: Steps) -> Rows:
    rows: Rows = defaultdict(list)
    for step in steps:
        rows[step["function"]].append(step)
    return rows


def under_way(rows: Rows) -> Rows:
    """The rows to draw: all, or of more than `MOST_ROWS` the first that have begun and not ended, or failed."""
    # Rows that scroll out of a terminal cannot be drawn in place.
    if len(rows) <= MOST_ROWS:
        return rows
    found = {owner: own for owner, own in rows.items() if _has_begun(own) and not _has_ended(own)}
    return dict(itertools.islice(found.items(), MOST_ROWS))


def _has_begun(own: Steps) -> bool:
    return any(step["state"] != "waiting" for step in own)


def _has_ended(own: Steps) -> bool:
    return all(step["state"] in ("done", "skipped") for step in own)


def _long(step: dict[str, Any]) -> str:
    """How long a step has taken so far, if that is a second or more; the list has to fit a terminal's width."""
    if step["started_at_ms"] is None:
        return ""
    took = (step["ended_at_ms"] or time.time() * 1000) - step["started_at_ms"]
    return f" {output.duration(took)}" if took >= 1_000 else ""
