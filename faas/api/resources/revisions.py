"""What differs between two revisions of a function: its configuration, and the files of its artifact."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from faas import artifacts
from faas.api import answers, schemas, slow, state
from faas.api.resources import invocations
from faas.artifacts import comparing
from faas.core import errors, model
from faas.core.values import numbers

_MOST_FILES = 1_000
_HINT = "write them as 3..5"


async def difference(request: web.Request) -> web.Response:
    """From one revision to another, as ``3..5``. Raises `errors.NotFound` for one that is not there (any more)."""
    name = (await invocations.current(request)).function
    first, last = _pair(request.match_info["pair"])
    store = request.app[state.FUNCTIONS]
    before, after = await asyncio.to_thread(lambda: (store.get(f"{name}@{first}"), store.get(f"{name}@{last}")))
    for number, found in (first, before), (last, after):
        if found is None:
            raise errors.NotFound(f"no revision {name}@{number}", hint="`faas describe` lists them", function=name)
    if before is None or after is None:  # the type checker cannot see that both are there
        raise errors.NotFound(f"no revisions of {name}")
    compared = await slow.asked(request.app, _compared, request.app[state.DATA].root, before, after)
    return answers.json(
        schemas.functions.Difference(
            function=name,
            before=schemas.functions.RevisionSide(before.number, before.artifact, before.created_at_ms),
            after=schemas.functions.RevisionSide(after.number, after.artifact, after.created_at_ms),
            config=tuple(config_changes(before.config, after.config)),
            files=compared.files,
            is_cut=compared.is_cut,
        )
    )


def _pair(text: str) -> tuple[int, int]:
    first, _, last = text.partition("..")
    numbered = numbers.whole(first), numbers.whole(last)
    if numbered[0] is None or numbered[1] is None:
        raise errors.NotFound(f"{text[:80]!r} names no two revisions", hint=_HINT)
    return numbered[0], numbered[1]


def _compared(root: Path, before: model.Revision, after: model.Revision) -> comparing.Compared:
    # An artifact is named for the SHA-256 of what is in it.
    if before.artifact == after.artifact:
        return comparing.Compared((), False)
    store = artifacts.Artifacts(root)
    with store.open(before.artifact) as old, store.open(after.artifact) as new:
        return comparing.compare(old, new, _MOST_FILES)


def config_changes(
    before: model.FunctionConfig, after: model.FunctionConfig
) -> Iterator[schemas.functions.ConfigChange]:
    """Each value that differs, under its dotted name. Lists are compared whole."""
    had, has = _flat(msgspec.to_builtins(before)), _flat(msgspec.to_builtins(after))
    for name in sorted(had.keys() | has.keys()):
        if had.get(name) != has.get(name):
            yield schemas.functions.ConfigChange(name, had.get(name), has.get(name))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in value.items():
        if isinstance(each, Mapping):
            found |= _flat(each, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = each
    return found
