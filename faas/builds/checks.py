"""What must hold of a project before anything is built; a client may have sent anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from faas.core import errors, model

_MAX_FUNCTIONS = 200
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check(project: model.Project, sources: Collection[str]) -> None:
    """Raise `errors.BadRequest` for a project that cannot be built whatever its sources hold."""
    names = [function.name for function in project.functions]
    if not names:
        raise errors.BadRequest("the project has no functions", hint="declare one under `functions` in faas.yaml")
    if len(names) > _MAX_FUNCTIONS:
        raise errors.BadRequest(
            f"the project has {len(names)} functions, and a project may have at most {_MAX_FUNCTIONS}"
        )
    for name in (*names, *(bucket.name for bucket in project.buckets)):
        if _NAME.fullmatch(name) is None:
            raise errors.BadRequest(f"{name!r} is no name", hint="lower-case letters, digits and dashes, at most 63")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.BadRequest(f"the project has {twice[0]} twice", function=twice[0])
    if missing := sorted(set(names) - set(sources)):
        raise errors.BadRequest(f"there is no source for {', '.join(missing)}", function=missing[0])
    known = {bucket.name for bucket in project.buckets}
    for function in project.functions:
        for bucket in _buckets(function.config):
            if bucket not in known:
                raise errors.BadRequest(f"{function.name}: the project has no bucket {bucket}", function=function.name)


def check_routes(function: model.FunctionSpec, deployed: Sequence[model.Revision], replaced: Collection[str]) -> None:
    """Raise `errors.Conflict` when a route belongs to a deployed function that the project does not replace."""
    for path, methods in _routes(function.config):
        for revision in deployed:
            if revision.function in replaced or revision.function == function.name:
                continue
            for other_path, other_methods in _routes(revision.config):
                if _shape(path) == _shape(other_path) and _overlap(methods, other_methods):
                    raise errors.Conflict(
                        f"{function.name}: the route {path} belongs to the function {revision.function}",
                        hint=f"choose another path, or `faas rm {revision.function}`",
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
                hint="name a key of env as `secret`, or set FAAS_DESTINATION_SECRET",
                function=function.name,
            )


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


def _shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _overlap(one: Collection[str], other: Collection[str]) -> bool:
    return not one or not other or not set(one).isdisjoint(other)
