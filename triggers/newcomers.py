"""Which upload triggers are new: what was in their bucket before them is not for them, unless they ask for it.

Redis holds a field for each trigger that a scheduler has met (`KEY`), and what is not settled of it: by when objects
count as having been there before. A comparison of the whole bucket puts the guards of those, and then the trigger is
as any other: what it meets without a guard runs, also what came while nothing ran.

::

    deployed ──► unsettled, since the revision was made ──compared──► settled
    `existing: run`, or met by a scheduler that had none of this ──► settled
    gone from the catalog ──► forgotten, so that it is new when it comes again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from faas.core import events, model
from faas.core.values import unreadable
from faas.queue import guards, invocations
from triggers import matching

KEY = "upload-triggers"
"""The guard hash of the triggers that were met: `field`, and msgspec's JSON of `Met`. The field "" is always there."""

_BEGUN = ""


class Met(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trigger that was met, with its parts: one function may have several of one prefix. ``news`` until settled."""

    parts: tuple[model.UploadTrigger, ...]
    news: matching.News | None = None


def _decode(held: str | None) -> Met | None:
    """What is held; what cannot be read is as good as nothing."""
    try:
        return None if held is None else msgspec.json.decode(held, type=Met)
    except unreadable.ERRORS:
        return None


def field(rule: matching.Rule) -> str:
    """Where `KEY` holds a trigger. What it ignores and which endings it wants may change: it is the same one."""
    trigger = rule.trigger
    return "\x1f".join((trigger.bucket, rule.revision.function, events.form_key(trigger.prefix)))


async def meet(queue: invocations.Queue, rules: Iterable[matching.Rule]) -> dict[str, Met]:
    """What is known of all triggers in force, which are written down, and no others. Raises `errors.Unavailable`."""
    held = await guards.items(queue, KEY)
    wanted = now_met(rules, held)
    changed = {name: _encode(met) for name, met in wanted.items() if held.get(name) != _encode(met)}
    if _BEGUN not in held:
        changed[_BEGUN] = "1"
    for name, value in changed.items():
        await guards.put(queue, KEY, name, value)
    for name in held.keys() - wanted.keys() - {_BEGUN}:
        await guards.drop(queue, KEY, name)
    return wanted


def now_met(rules: Iterable[matching.Rule], held: Mapping[str, str]) -> dict[str, Met]:
    """What is to be known of the triggers in force, after what was."""
    together: dict[str, list[matching.Rule]] = {}
    for rule in rules:
        together.setdefault(field(rule), []).append(rule)
    is_first = _BEGUN not in held
    return {name: _met(parts, _decode(held.get(name)), is_first=is_first) for name, parts in together.items()}


def _met(rules: Sequence[matching.Rule], before: Met | None, *, is_first: bool) -> Met:
    parts, made_at_ms = tuple(rule.trigger for rule in rules), rules[0].revision.created_at_ms
    if is_first or all(part.existing is model.Existing.RUN for part in parts):
        return Met(parts)
    if before is None:
        return Met(parts, matching.News(made_at_ms))
    if _wants(before.parts) == _wants(parts):
        return Met(parts, before.news)
    # Before a change is settled there may come another: then what was settled last still holds.
    settled = before.parts if before.news is None else before.news.before
    return Met(parts, matching.News(made_at_ms, settled))


def _wants(parts: Iterable[model.UploadTrigger]) -> set[tuple[object, ...]]:
    return {(part.suffix, part.ignore) for part in parts}


def news_for(rule: matching.Rule, met: Mapping[str, Met]) -> matching.News | None:
    """What is not settled of a rule; nothing ever of one that asks for what is there."""
    return None if rule.trigger.existing is model.Existing.RUN else met[field(rule)].news


async def settle(queue: invocations.Queue, rules: Iterable[matching.Rule]) -> None:
    """The bucket of these was compared as a whole: nothing is new about them any more."""
    held = await guards.items(queue, KEY)
    for rule in rules:
        met = _decode(held.get(field(rule)))
        if rule.news is not None and met is not None and met.news == rule.news:
            await guards.put(queue, KEY, field(rule), _encode(Met(met.parts)))


def _encode(met: Met) -> str:
    return msgspec.json.encode(met).decode()
