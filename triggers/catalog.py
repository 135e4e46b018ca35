"""What triggers know of the catalog of functions, and how they learn that it has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

import msgspec

from faas.core import model
from faas.core.money import budgets

_log = logging.getLogger(__name__)

T = TypeVar("T", model.TimerTrigger, model.UploadTrigger)


class Functions(Protocol):
    """The part of the store that triggers read; `faas.store.functions.Functions` is one."""

    def catalog_version(self) -> int:
        """A number that grows with every change of what is current."""

    def list_current(self) -> list[model.Revision]:
        """What serves now."""

    def buckets(self) -> list[model.Bucket]:
        """Every bucket."""

    def stops(self) -> dict[str, budgets.BudgetStop]:
        """What may not run now, by the name of its budget."""


class Snapshot(msgspec.Struct, frozen=True):
    """What serves at one version of the catalog."""

    version: int = -1
    revisions: tuple[model.Revision, ...] = ()
    buckets: tuple[model.Bucket, ...] = ()
    stops: Mapping[str, budgets.BudgetStop] = {}

    def triggers(self, kind: type[T]) -> Iterator[tuple[model.Revision, int, T]]:
        """Every trigger of a kind, with its revision and its place among the function's triggers."""
        for revision in self.revisions:
            for place, trigger in enumerate(revision.config.triggers):
                if isinstance(trigger, kind):
                    yield revision, place, trigger


async def newer(functions: Functions, known: Snapshot) -> Snapshot:
    """The catalog as it is now; ``known`` itself while nothing has changed or the store does not answer."""
    try:
        return await asyncio.to_thread(_newer, functions, known)
    except Exception:  # noqa: BLE001 - whatever ails the store, triggers go on with what they know
        _log.warning("catalog_unreadable", extra={"version": known.version}, exc_info=True)
        return known


def _newer(functions: Functions, known: Snapshot) -> Snapshot:
    # Before what it is the version of: what changes in between is read once more, and not missed.
    version = functions.catalog_version()
    if version == known.version:
        return known
    return Snapshot(version, tuple(functions.list_current()), tuple(functions.buckets()), functions.stops())


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for ``stop``, so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
