"""How far a copy is, on stderr, once it takes over a second: a bar on a terminal, nothing otherwise."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from faas.cli import output
from faas.core import clock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUIET_S = 1.0


class Transfer:
    """Counts the bytes of one file. ``total`` is None where nobody knows it before the end."""

    def __init__(self, name: str, total: int | None) -> None:
        self.size = 0
        self._name = name
        self._total = total
        self._began_s = clock.steady_s()
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Transfer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def add(self, size: int) -> None:
        """Count so many bytes more that have passed."""
        self.size += size
        if self._bar is None and sys.stderr.isatty() and clock.steady_s() - self._began_s > _QUIET_S:
            self._bar = _bar(self._name, self._total)
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, completed=self.size)


def _bar(name: str, total: int | None) -> tuple[Progress, TaskID]:
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    progress = bars.Progress(*columns, console=output.console(stderr=True), transient=True)
    task = progress.add_task(name, total=total)
    progress.start()
    return progress, task
