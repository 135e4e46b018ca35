"""What a deploy changes beside the revisions: whom it takes functions from, what it leaves behind, what it skips.

The platform knows functions and not projects. So the command line keeps, in the data directory, which functions were
deployed from which manifest (`DEPLOYED_FILE`); who may not write there is told nothing of this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from faas.cli import client, functions, output, places, platform_dir
from faas.core import errors, model
from faas.core.values import unreadable

DEPLOYED_FILE = "deployed.json"
_MOST_COUNTED = 100_000
_MOST_NAMED = 10


class LeftBehind(msgspec.Struct, frozen=True):
    """A function that was deployed from this manifest, stands in it no more, and serves on."""

    function: str
    triggers: tuple[str, ...]


class TakenOver(msgspec.Struct, frozen=True):
    """A function that was deployed from another manifest before."""

    function: str
    before: str


class AlreadyThere(msgspec.Struct, frozen=True):
    """Objects that are in the bucket of a new upload trigger, and whether it runs for them. ``count`` is bounded."""

    function: str
    trigger: str
    count: int
    runs: bool


class Served(msgspec.Struct, frozen=True):
    """What serves, by name, and which alarms there are."""

    functions: Mapping[str, dict[str, Any]]
    alarms: frozenset[str]


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    left_behind: tuple[LeftBehind, ...] = ()
    taken_over: tuple[TakenOver, ...] = ()
    existing: tuple[AlreadyThere, ...] = ()
    alarms_removed: tuple[str, ...] = ()


def served(api: client.Client) -> Served:
    """What serves now."""
    return Served({each["name"]: each for each in api.get("/api/v1/functions")["functions"]}, _alarms(api))


def _alarms(api: client.Client) -> frozenset[str]:
    return frozenset(each["name"] for each in api.get("/api/v1/alarms", limit=10_000)["alarms"])


def settle(api: client.Client, project: model.Project, file: Path, root: Path, earlier: Served) -> Aftermath:
    """What a deploy that went well has changed beside; ``earlier`` is what served when it began."""
    known, before = _known(root), earlier.functions
    names = {function.name for function in project.functions}
    mine = str(file.resolve())
    # Of those that still serve: what was removed by hand is not left behind.
    gone = sorted((set(known.get(mine, ())) - names) & before.keys())
    taken = [
        TakenOver(name, other)
        for name in sorted(names & before.keys())
        for other, deployed in known.items()
        if other != mine and name in deployed
    ]
    # What was left behind is told each time, until it is removed or deployed from elsewhere.
    kept = {other: sorted(set(deployed) - names) for other, deployed in known.items() if other != mine}
    _remember(root, {**{other: left for other, left in kept.items() if left}, mine: sorted(names | set(gone))})
    return Aftermath(
        left_behind=tuple(LeftBehind(name, _triggers(before[name])) for name in gone),
        taken_over=tuple(taken),
        existing=tuple(_existing(api, project, before)),
        alarms_removed=tuple(sorted(earlier.alarms - _alarms(api))),
    )


def say(aftermath: Aftermath) -> None:
    """Tell it on stderr."""
    for taken in aftermath.taken_over:
        output.say(f"took over: {taken.function} was deployed from {taken.before} before")
    for left in aftermath.left_behind[:_MOST_NAMED]:
        runs = f" and runs on {'; '.join(left.triggers)}" if left.triggers else ""
        output.say(f"left behind: {left.function} stands in faas.yaml no more, serves on{runs}")
        output.say(f"  remove it with `faas rm {left.function}`")
    if len(aftermath.left_behind) > _MOST_NAMED:
        output.say(f"left behind: {len(aftermath.left_behind) - _MOST_NAMED} more functions; `faas ls` lists them")
    for each in aftermath.existing:
        output.say(_of_existing(each))
    for name in aftermath.alarms_removed:
        output.say(f"removed: the alarm {name} stands in faas.yaml no more")


def _of_existing(found: AlreadyThere) -> str:
    count = f"{found.count:,} objects" if found.count != 1 else "1 object"
    count = f"more than {count}" if found.count >= _MOST_COUNTED else count
    does = "runs for" if found.runs else "skips"
    why = "(existing: run)" if found.runs else "(`existing: run` would run for them)"
    return f"{found.function}: {found.trigger} {does} {count} that {_are(found)} there already {why}"


def _are(found: AlreadyThere) -> str:
    return "is" if found.count == 1 else "are"


def _triggers(function: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(functions.trigger(each) for each in function["config"]["triggers"])


def _existing(api: client.Client, project: model.Project, before: Mapping[str, dict[str, Any]]) -> list[AlreadyThere]:
    found = []
    for function in project.functions:
        had = _uploads(before.get(function.name))
        for trigger in function.config.triggers:
            if isinstance(trigger, model.UploadTrigger) and (trigger.bucket, trigger.prefix) not in had:
                count = _count(api, trigger)
                if count:
                    shown = functions.trigger({**msgspec.to_builtins(trigger), "kind": "upload"})
                    found.append(AlreadyThere(function.name, shown, count, trigger.existing is model.Existing.RUN))
    return found


def _uploads(function: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    triggers = function["config"]["triggers"] if function is not None else ()
    return {(each["bucket"], each.get("prefix", "")) for each in triggers if each["kind"] == "upload"}


def _count(api: client.Client, trigger: model.UploadTrigger) -> int:
    """How many objects a trigger concerns; 0 as well when nobody can say."""
    try:
        found = places.objects(api, places.KeyPlace(trigger.bucket, trigger.prefix), _MOST_COUNTED)
        return sum(trigger.concerns(each["key"]) for each in found)
    except errors.FaasError:
        return 0


def _known(root: Path) -> dict[str, Sequence[str]]:
    try:
        return msgspec.json.decode((root / DEPLOYED_FILE).read_bytes(), type=dict[str, Sequence[str]])
    except (OSError, *unreadable.ERRORS):
        return {}


def _remember(root: Path, known: Mapping[str, Sequence[str]]) -> None:
    with contextlib.suppress(OSError):
        platform_dir.replace(root / DEPLOYED_FILE, msgspec.json.encode(known) + b"\n")
