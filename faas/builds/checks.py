"""What must hold of a project before anything is built; a client may have sent anything."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from faas.core import errors, model
from faas.core.alarms import rules
from faas.core.http import paths as http_paths
from faas.core.manifest import cron_lines, patterns

MAX_FUNCTIONS = 1000
"""As many as a manifest may have."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ALARM_NAME = re.compile(r"(?:[a-z0-9-]{1,63}\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check(project: model.Project, sources: Collection[str]) -> None:
    """Raise `errors.BadRequest` for a project that cannot be built whatever its sources hold."""
    names = [function.name for function in project.functions]
    if not names:
        raise errors.BadRequest("the project has no functions", hint="declare one under `functions` in faas.yaml")
    if len(names) > MAX_FUNCTIONS:
        raise errors.BadRequest(
            f"the project has {len(names)} functions, and a project may have at most {MAX_FUNCTIONS}"
        )
    # Names become paths and keys, whoever sent them.
    for name in (*names, *(bucket.name for bucket in project.buckets)):
        if _NAME.fullmatch(name) is None:
            raise errors.BadRequest(f"{name!r} is no name", hint="lower-case letters, digits and dashes, at most 63")
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise errors.BadRequest(f"the project has {twice[0]} twice", function=twice[0])
    if missing := without_source(project, sources):
        raise errors.BadRequest(f"there is no source for {', '.join(missing)}", function=missing[0])
    known = {bucket.name for bucket in project.buckets}
    for function in project.functions:
        for fault in _never_matching(function.config):
            raise errors.BadRequest(f"{function.name}: {fault}", function=function.name)
        for bucket in _buckets(function.config):
            if bucket not in known:
                raise errors.BadRequest(f"{function.name}: the project has no bucket {bucket}", function=function.name)


def _never_matching(config: model.FunctionConfig) -> Iterator[str]:
    """What the manifest's own check says, for who sent the project without one."""
    for trigger in config.triggers:
        judged: list[tuple[str, str, str]] = []
        if isinstance(trigger, model.HttpTrigger):
            judged = [("path", trigger.path, patterns.route_fault(trigger.path))]
            origins = trigger.cors.origins if trigger.cors else ()
            judged += [("origins", origin, patterns.origin_fault(origin)) for origin in origins]
        elif isinstance(trigger, model.UploadTrigger):
            judged = [("prefix", trigger.prefix, patterns.prefix_fault(trigger.prefix))]
            judged += [("suffix", end, patterns.suffix_fault(end)) for end in trigger.suffix]
            judged += [("suffix", end, patterns.upload_fault(trigger, end)) for end in trigger.suffix or ("",)]
        elif trigger.cron is not None:
            judged = [("cron", trigger.cron, cron_lines.fault(trigger.cron))]
        yield from (f"{key}: found {found[:80]!r}, expected {fault}" for key, found, fault in judged if fault)


def without_source(project: model.Project, sources: Collection[str]) -> list[str]:
    """The functions for which nothing was sent and that name no tar by its SHA-256, by name."""
    unsent = (function for function in project.functions if function.name not in sources)
    return sorted(function.name for function in unsent if _SHA256.fullmatch(function.source) is None)


Shape = tuple[tuple[http_paths.SegmentKind, str], ...]


class RouteOwner(NamedTuple):
    """A function that has a route, and the route's methods."""

    function: str
    methods: tuple[str, ...]


def owners(deployed: Sequence[model.Revision], replaced: Collection[str]) -> Mapping[Shape, Sequence[RouteOwner]]:
    """Who has the routes of one shape, of the deployed functions that the project does not replace."""
    found: dict[Shape, list[RouteOwner]] = defaultdict(list)
    replaced = set(replaced)
    for revision in deployed:
        if revision.function not in replaced:
            for path, methods in _routes(revision.config):
                found[http_paths.shape(path)].append(RouteOwner(revision.function, methods))
    return found


def check_routes(function: model.FunctionSpec, owned: Mapping[Shape, Sequence[RouteOwner]]) -> None:
    """Raise `errors.Conflict` when a route belongs to another function."""
    for path, methods in _routes(function.config):
        for other in owned.get(http_paths.shape(path), ()):
            if other.function != function.name and _overlap(methods, other.methods):
                raise errors.Conflict(
                    f"{function.name}: the route {path} belongs to the function {other.function}",
                    hint=f"choose another path, or `faas rm {other.function}`",
                    function=function.name,
                )


def check_destinations(function: model.FunctionSpec, functions: Collection[str], secret: str) -> None:
    """Raise `errors.BadRequest` for a destination that is no function of ``functions``, or cannot be signed.

    ``functions`` are those of the project and those that are deployed, ``secret`` is the platform's own.
    """
    for to in _destinations(function.config):
        if isinstance(to, model.ToFunction) and to.function not in functions:
            raise errors.BadRequest(
                f"{function.name}: its destination {to.function} is no function of this project, and not deployed",
                hint=f"deploy {to.function} first, or with it",
                function=function.name,
            )
        if isinstance(to, model.ToUrl) and not (function.config.env.get(to.secret, "") if to.secret else secret):
            raise errors.BadRequest(
                f"{function.name}: nothing to sign with what goes to {to.url}",
                hint="name a key of env as `secret`, or set FAAS_DESTINATION_SECRET before `faas up`",
                function=function.name,
            )


def check_alarms(project: model.Project, functions: Collection[str], secret: str) -> None:
    """Raise `errors.BadRequest` for an alarm that cannot be read, or told to where it says. See `check_destinations`.

    A manifest's own check says the same with its place, to who has one.
    """
    names = [alarm.name for alarm in project.alarms]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise errors.BadRequest(f"the project has the alarm {twice[0]} twice", alarm=twice[0])
    buckets = {bucket.name for bucket in project.buckets}
    for alarm in project.alarms:
        for fault in _alarm_faults(alarm, project, functions, buckets, secret):
            raise errors.BadRequest(f"the alarm {alarm.name}: {fault}", alarm=alarm.name)


def _alarm_faults(
    alarm: model.Alarm, project: model.Project, functions: Collection[str], buckets: Collection[str], secret: str
) -> Iterator[str]:
    declared = {function.name for function in project.functions}
    if _ALARM_NAME.fullmatch(alarm.name) is None:
        yield "its name is none: lower-case letters, digits and dashes, and its function before a dot"
    if alarm.function is not None and alarm.function not in declared:
        yield f"{alarm.function} is no function of this project"
    if not alarm.functions and alarm.name != f"{alarm.function}.{alarm.name.rpartition('.')[2]}":
        yield "it belongs to no function and to no manifest"
    if fault := rules.fault(alarm.rule):
        yield f"rule: found {alarm.rule[:100]!r}, expected {fault}"
    for to in alarm.notify:
        if isinstance(to, model.ToFunction) and to.function not in functions:
            yield f"it tells {to.function}, which is no function of this project, and not deployed"
        if isinstance(to, model.ToBucket) and to.bucket not in buckets:
            yield f"it tells the bucket {to.bucket}, which the project does not have"
        if isinstance(to, model.ToUrl) and not secret:
            yield f"nothing to sign with what goes to {to.url}; set FAAS_DESTINATION_SECRET before `faas up`"


def check_buckets(wanted: Sequence[model.Bucket], existing: Sequence[model.Bucket], used_by: Collection[str]) -> None:
    """Raise `errors.Conflict` when a bucket would move while functions of other projects use it."""
    paths = {bucket.name: bucket.path for bucket in existing}
    for bucket in wanted:
        if bucket.name in used_by and paths.get(bucket.name, bucket.path) != bucket.path:
            raise errors.Conflict(
                f"the bucket {bucket.name} lies in {paths[bucket.name] or 'the data directory'}"
                " and other functions use it",
                hint="choose another name, or the same path",
            )


def buckets_of(revisions: Sequence[model.Revision], but: Collection[str]) -> set[str]:
    """The buckets that deployed functions use, except those of some functions."""
    return {name for revision in revisions if revision.function not in but for name in _buckets(revision.config)}


def _buckets(config: model.FunctionConfig) -> Iterator[str]:
    yield from config.buckets
    yield from (trigger.bucket for trigger in config.triggers if isinstance(trigger, model.UploadTrigger))
    yield from (to.bucket for to in _destinations(config) if isinstance(to, model.ToBucket))


def _destinations(config: model.FunctionConfig) -> Iterator[model.Destination]:
    yield from (to for to in (config.on_success, config.on_failure) if to is not None)


def _routes(config: model.FunctionConfig) -> list[tuple[str, tuple[str, ...]]]:
    return [(trigger.path, trigger.methods) for trigger in config.triggers if isinstance(trigger, model.HttpTrigger)]


def _overlap(one: Collection[str], other: Collection[str]) -> bool:
    return not one or not other or not set(one).isdisjoint(other)
