"""Ids by their beginnings: what the command line prints of an id on a narrow terminal is enough to name the thing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from faas.api import state
from faas.core import errors, ids, model

LEAST = 4
"""Characters of a beginning that may stand for an id."""

ENOUGH = 6
"""Ids that are looked for: more than are named where a beginning is that of several."""

_MOST_UNSETTLED = 1_000
_MOST_FUNCTIONS = 20
"""Functions whose queues are looked through, one question each: a beginning is for a person, who has few at work."""

Find = Callable[[str], Awaitable[Iterable[str]]]


async def whole(given: str, find: Find) -> str:
    """The id that is meant: ``given`` itself, or the one known id that it is the beginning of.

    ``find`` gives up to `ENOUGH` ids that begin so. What begins nothing known is given back, for whoever asks to say
    that there is no such thing. Raises `errors.BadRequest` when it is the beginning of several.
    """
    text = given.strip().lower()
    # A whole id is asked of nobody first: what is new may be in no place that is looked into here.
    if ids.is_id(text) or not LEAST <= len(text) < ids.LENGTH or not text.isascii():
        return text or given
    found = sorted(set(await find(text)))
    if len(found) > 1:
        raise ambiguous(text, found)
    return found[0] if found else given


def ambiguous(text: str, found: list[str]) -> errors.BadRequest:
    """What is said of a beginning that several ids have."""
    named, more = found[: ENOUGH - 1], len(found) >= ENOUGH
    return errors.BadRequest(
        f"{text} is the beginning of several ids: {', '.join(named)}{' and more' if more else ''}",
        hint="write more of the one that you mean",
        ids=named,
    )


async def of_invocation(app: web.Application, given: str) -> str:
    """The invocation that is meant, of those in the ledger and of the newest that wait or run. Raises as `whole`."""

    async def find(text: str) -> Iterable[str]:
        recorded = await asyncio.to_thread(app[state.LEDGER].ids, text, ENOUGH)
        return recorded if len(recorded) >= ENOUGH else [*recorded, *await _unsettled(app, text)]

    return await whole(given, find)


async def _unsettled(app: web.Application, text: str) -> list[str]:
    calls = app[state.CALLS]
    # One question for each function that has any, and none for all the others.
    busy = {ref.rpartition("@")[0] for ref, places in (await calls.places()).items() if _is_busy(places.counts)}
    looked = sorted(busy)[:_MOST_FUNCTIONS]
    found = [line.id for name in looked for line in await calls.unsettled(name, _MOST_UNSETTLED)]
    return [each for each in found if each.startswith(text)]


def _is_busy(counts: model.Counts) -> bool:
    return counts.waiting + counts.running + counts.retrying > 0
