"""What a deployment needs of the rest of the platform."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from faas.builds import runtimes
from faas.core import model
from faas.store import alarm_changes, alarms


class LoadReport(Protocol):
    """How the first import of a revision's handler went. ``error`` is the user's own trouble."""

    @property
    def ok(self) -> bool: ...
    @property
    def init_us(self) -> int: ...
    @property
    def status(self) -> model.Status: ...
    @property
    def error(self) -> model.Failure | None: ...
    @property
    def logs(self) -> tuple[model.LogLine, ...]: ...


Watch = Callable[[str], AbstractContextManager[Callable[[LoadReport], None]]]
"""What surrounds the load of one revision."""


class Nodes(Protocol):
    """The nodes, as builds see them. Every method raises `errors.Unavailable` when none can be reached."""

    def runtimes(self) -> list[runtimes.Available]:
        """Which runtimes their sandboxes have, of those that can be built for."""

    def load(self, refs: Sequence[str], timeout_ms: int, watch: Watch) -> None:
        """Import the handlers of revisions once, each in a sandbox of any node, as many at once as these can start.

        Each load takes place inside ``watch(ref)`` and hands its report to what that yields. The first error of any
        ends the others: inside their ``watch`` they get an `asyncio.CancelledError`.
        """

    def announce(self, version: int) -> bool:
        """Tell all of a new catalog, and wait a little; whether all have loaded it."""


class Functions(Protocol):
    """The functions that exist: the part of `faas.store.functions.Functions` that deploying needs."""

    def add_revisions(self, wanted: Sequence[tuple[str, str, model.FunctionConfig]]) -> list[model.Revision]: ...
    def discard(self, refs: Collection[str]) -> None: ...
    def activate(
        self,
        revisions: Sequence[model.Revision],
        buckets: Sequence[model.Bucket],
        changes: alarm_changes.AlarmChanges = alarm_changes.NONE,
    ) -> int: ...
    def declared_alarms(self) -> tuple[alarms.Declared, ...]: ...
    def list_current(self) -> list[model.Revision]: ...
    def last_numbers(self, names: Sequence[str]) -> dict[str, int]: ...
    def revisions(self, *names: str) -> list[model.Revision]: ...
    def catalog_version(self) -> int: ...
    def buckets(self) -> list[model.Bucket]: ...
