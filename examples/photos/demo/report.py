"""What the demo says: headings, progress and tables; drawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich import box, console, progress, table

from examples.photos.demo import attempts, watch

_UNBOUNDED = 10_000
"""The width where there is no terminal: lines are whole."""

_FRAME = 20
"""What a table's frame and padding add to its width, at most."""

_STARTS = {"none": "warm", "prewarmed": "cold (prewarmed)", "full": "cold (full)"}
_COLUMNS = ("object", "bytes in", "bytes out", "start", "queue ms", "duration ms", "billed ms", "memory", "cost")


class Row(msgspec.Struct, frozen=True):
    """One attempt, with the sizes of what it read and wrote (None: nothing)."""

    attempt: attempts.Attempt
    bytes_in: int | None
    bytes_out: int | None


class Report:
    """Writes to stdout."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._console = console.Console(highlight=False, markup=False)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._begun

    def step(self, text: str) -> None:
        """A heading: how long after the start, and what comes next."""
        self._console.print(f"\n== {self.elapsed_s:.1f} s  {text}", style="bold", soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, soft_wrap=True)

    def fault(self, text: str) -> None:
        """One line about what went wrong."""
        self._console.print(f"FAILED  {text}", style="red", soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, photos: int) -> Iterator[Callable[[watch.Progress], None]]:
        """What shows how far the photographs are: two bars on a terminal, a line for every change elsewhere."""
        if not self._console.is_terminal:
            yield lambda seen: self.say(progress_line(seen))
            return
        columns = (progress.TextColumn("{task.description:<10}"), progress.BarColumn(), progress.MofNCompleteColumn())
        with progress.Progress(*columns, progress.TimeElapsedColumn(), console=self._console) as bars:
            first = bars.add_task(watch.FIRST, total=photos)
            second = bars.add_task(watch.SECOND, total=photos * watch.OUTPUTS_EACH)

            def show(seen: watch.Progress) -> None:
                bars.update(first, completed=seen.transcoded)
                bars.update(second, completed=seen.archived, total=seen.to_archive)

            yield show

    def attempts(self, stages: Mapping[str, Sequence[Row]], currency: str) -> None:
        """One line for each record, stage by stage."""
        drawn = _plain()
        for column in _COLUMNS:
            left = column in ("object", "start")
            drawn.add_column(column, justify="left" if left else "right", no_wrap=True)
        drawn.columns[-1].header = f"cost, µ{currency}"
        for function, rows in stages.items():
            drawn.add_section()
            drawn.add_row(f"{function}:", *[""] * (len(_COLUMNS) - 1), style="bold")
            for row in rows:
                drawn.add_row(*cells(row), style="" if row.attempt.ok else "red")
        self._draw(drawn)

    def statement(self, bill: Mapping[str, Any]) -> None:
        """The bill by function, and its total."""
        drawn = _plain()
        drawn.add_column("statement")
        for column in ("attempts", "billed ms", f"cost, µ{bill['currency']}"):
            drawn.add_column(column, justify="right")
        for line in [*bill["lines"], {"name": "total", **bill["total"]}]:
            style = "bold" if line["name"] == "total" else ""
            drawn.add_row(line["name"], *amounts(line), style=style)
        self._draw(drawn)

    def _draw(self, drawn: table.Table) -> None:
        """Print a table: in its frame where that fits on the terminal, else as plain lines with nothing cut off."""
        framed = self._console.is_terminal and self._console.measure(drawn).maximum + _FRAME <= self._console.width
        if framed:
            drawn.box = box.SIMPLE_HEAD
            self._console.print(drawn)
        else:
            console.Console(highlight=False, markup=False, width=_UNBOUNDED).print(drawn)


def _plain() -> table.Table:
    return table.Table(box=None, pad_edge=False)


def progress_line(seen: watch.Progress) -> str:
    """How far the photographs are, as a line."""
    failed = f" ({seen.failed} failed)" if seen.failed else ""
    return f"transcode {seen.transcoded} of {seen.photos}{failed}, archive {seen.archived} of {seen.to_archive}"


def cells(row: Row) -> Iterable[str]:
    """One attempt as the cells of its line; a failed one says so beside its object."""
    attempt = row.attempt
    failed = "" if attempt.ok else f"  {attempt.status.upper()}"
    return (
        f"{attempt.object or attempt.invocation_id}{failed}",
        size(row.bytes_in),
        size(row.bytes_out),
        start(attempt.cold_start_kind),
        f"{attempt.queue_ms:,}",
        f"{attempt.duration_ms:,.2f}",
        f"{attempt.billed_ms:,}",
        f"{attempt.memory_mb} MB",
        micro(attempt.cost_pico),
    )


def amounts(amount: Mapping[str, Any]) -> tuple[str, str, str]:
    """Attempts, billed milliseconds and cost of one line of the statement."""
    return f"{amount['count']:,}", f"{amount['billed_ms']:,}", micro(amount["cost_pico"])


def start(kind: str) -> str:
    """What an attempt had to wait for, in words."""
    return _STARTS.get(kind, kind)


def size(count: int | None) -> str:
    """Bytes, or a dash."""
    return "-" if count is None else f"{count:,}"


def micro(pico: int) -> str:
    """Pico-units as millionths of the currency, to the third decimal: ``micro(1_234_567)`` is ``1.235``."""
    nano = (pico + 500) // 1_000
    return f"{nano // 1_000:,}.{nano % 1_000:03d}"
