"""What a fact is, and establishing many of them: what one check cannot find out leaves the others as they are."""

from __future__ import annotations

import asyncio
import enum
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures

import msgspec

from faas.core import errors
from faas.core import settings as settings_module

_AT_ONCE = 4
_WITHIN_S = 180.0

_log = logging.getLogger(__name__)


class Severity(enum.StrEnum):
    """How something is. A warning works, but; unknown is what could not be established now."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Fact(msgspec.Struct, frozen=True):
    """What was established of one thing. ``hint`` says what to do about it, where something is to be done."""

    name: str
    state: Severity
    text: str
    hint: str = ""


Gather = Callable[[settings_module.Settings], Iterable[Fact]]


class Check(msgspec.Struct, frozen=True):
    """What establishes facts: ``gather`` may block, and raises `errors.FaasError` for what it cannot find out."""

    name: str
    gather: Gather


class Checks(msgspec.Struct, frozen=True):
    """The checks of a platform: the quick ones, which may be asked for often, and those that look at everything."""

    quick: tuple[Check, ...]
    thorough: tuple[Check, ...]

    def beside(self, more: Iterable[Check]) -> Checks:
        """These checks, and more that are quick."""
        added = tuple(more)
        return Checks((*self.quick, *added), (*self.thorough, *added))

    def of(self, *, thorough: bool) -> tuple[Check, ...]:
        """The checks of one kind."""
        return self.thorough if thorough else self.quick


def all_is_well(facts: Iterable[Fact]) -> bool:
    """Whether nothing failed and all could be established. A warning is no failure."""
    return all(fact.state in (Severity.OK, Severity.WARNING) for fact in facts)


def established(check: Check, settings: settings_module.Settings) -> list[Fact]:
    """The facts of one check; the last is unknown when not all could be established. Blocks."""
    facts: list[Fact] = []
    try:
        for fact in check.gather(settings):
            facts.append(fact)
    except errors.FaasError as error:
        facts.append(Fact(check.name, Severity.UNKNOWN, error.message, error.hint))
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide what the others found
        _log.error("check_failed", extra={"check": check.name}, exc_info=True)
        facts.append(Fact(check.name, Severity.UNKNOWN, f"the check itself failed: {type(error).__name__}: {error}"))
    return facts


async def gathered(checks: Sequence[Check], settings: settings_module.Settings) -> tuple[Fact, ...]:
    """The facts of all checks in their order, without blocking the loop: some checks at a time, in threads."""
    pool = futures.ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="health")
    loop = asyncio.get_running_loop()
    try:
        asked = [loop.run_in_executor(pool, functools.partial(established, check, settings)) for check in checks]
        await asyncio.wait(asked, timeout=_WITHIN_S)
    finally:
        # A check that hangs in a thread cannot be ended; whoever asked is told that it hangs, and does not hang with
        # it.
        pool.shutdown(wait=False, cancel_futures=True)
    return tuple(fact for check, found in zip(checks, asked, strict=True) for fact in (_facts_of(check, found)))


def _facts_of(check: Check, found: asyncio.Future[list[Fact]]) -> list[Fact]:
    if found.done() and not found.cancelled():
        return found.result()
    return [Fact(check.name, Severity.UNKNOWN, f"not established within {_WITHIN_S:g} s")]
