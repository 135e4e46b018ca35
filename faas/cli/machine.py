"""Checks of what only the composition root may look at: the processes of `faas up`, the engine and the journals."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from faas.cli import platform_dir
from faas.core import groups
from faas.core import settings as settings_module
from faas.core.processes import living
from faas.health import facts

if TYPE_CHECKING:
    from faas.api.prometheus import metrics_platform
    from runners.engines.docker import abilities


def platform(settings: settings_module.Settings) -> Iterator[facts.Fact]:
    """The fact ``platform``: whether one runs on the data directory."""
    owner = platform_dir.running(settings.data.root)
    if owner is None:
        yield facts.Fact(
            "platform", facts.Severity.FAILED, f"none runs on {settings.data.root}", "start it with `faas up`"
        )
    else:
        yield facts.Fact("platform", facts.Severity.OK, f"process {owner.pid} runs on {settings.data.root}")


def processes(settings: settings_module.Settings) -> Iterator[facts.Fact]:
    """One fact for each process of the `faas up` that runs on the data directory."""
    if platform_dir.running(settings.data.root) is None:
        return
    for process in (platform_dir.published(settings.data.root) or {}).get("processes", ()):
        name = f"process {process['name']}"
        # The published list is of a moment ago: a process may have died since.
        if process["pid"] is not None and living.started_at(process["pid"]) is not None:
            text = f"process {process['pid']}, started again {process['restarts']} times"
            yield facts.Fact(name, facts.Severity.OK, text)
        else:
            log = settings.data.root / "logs" / f"{process['name']}.log"
            yield facts.Fact(name, facts.Severity.FAILED, "not running now", f"see {log}")


def uses(data: groups.Data) -> list[metrics_platform.Process]:
    """What the processes of the `faas up` that runs on the data directory use, for `/metrics`."""
    from faas.api.prometheus import metrics_platform

    if platform_dir.running(data.root) is None:
        return []
    return [
        metrics_platform.Process(
            each["name"], each["restarts"], living.use(each["pid"]) if each["pid"] is not None else None
        )
        for each in (platform_dir.published(data.root) or {}).get("processes", ())
    ]


def docker(settings: settings_module.Settings) -> Iterator[facts.Fact]:
    """The facts ``docker``, ``sandboxes`` and ``base image``."""
    import docker as sdk
    import requests

    from runners.engines import choose
    from runners.engines.docker import abilities, promises

    chosen = (
        settings.sandboxes.engine if settings.sandboxes.engine != "auto" else choose.written_down(settings.data.root)
    )
    if chosen == choose.PROCESS:
        text = "not used: functions run as plain processes, which isolates nothing"
        hint = "`faas up --engine docker` changes that for good" if settings.sandboxes.engine == "auto" else ""
        yield facts.Fact("docker", facts.Severity.WARNING, text, hint)
        return
    bad, hint = (
        facts.Severity.WARNING,
        ("without it functions run as plain processes, which isolates nothing, and not at all as root"),
    )
    if chosen == choose.DOCKER:
        bad, hint = facts.Severity.FAILED, "functions run in containers here, or not at all: start the Docker daemon"
    try:
        # An engine that hangs is as good as none.
        with contextlib.closing(sdk.from_env(timeout=5)) as client:
            has = abilities.parse(client.info())
            yield facts.Fact("docker", facts.Severity.OK, promises.described(has, settings.sandboxes.sandbox_runtime))
            yield from _sandboxes(has, settings)
            yield _base_image(client, settings)
    except (sdk.errors.DockerException, requests.RequestException) as error:
        yield facts.Fact("docker", bad, f"no engine answers: {error}".splitlines()[0], hint)


def _sandboxes(has: abilities.Abilities, settings: settings_module.Settings) -> Iterator[facts.Fact]:
    from runners.engines import uids
    from runners.engines.docker import promises, support
    from runners.sandbox import base

    try:
        support.check(settings.data.root, settings.sandboxes, has, os.geteuid())
        given = uids.given(settings.sandboxes.sandbox_uids, remaps_users=has.remaps_users)
    except base.EngineUnavailable as error:
        yield facts.Fact("sandboxes", facts.Severity.FAILED, error.message, error.hint)
        return
    found = promises.gaps(has, os.geteuid() == 0, settings.sandboxes.sandbox_runtime)
    for gap in found:
        yield facts.Fact("sandboxes", facts.Severity.WARNING, gap.text, gap.hint)
    if not found:
        text = f"all that is promised of them holds here; users {given.first} to {given.last}"
        yield facts.Fact("sandboxes", facts.Severity.OK, text)


def _base_image(client: Any, settings: settings_module.Settings) -> facts.Fact:
    tags = sorted(tag for image in client.images.list() for tag in image.tags)
    if not settings.sandboxes.base_image:
        text = f"found, pulled or built when a node starts; {len(tags)} images here"
        return facts.Fact("base image", facts.Severity.OK, text)
    if settings.sandboxes.base_image in tags or f"{settings.sandboxes.base_image}:latest" in tags:
        return facts.Fact("base image", facts.Severity.OK, f"{settings.sandboxes.base_image} is here")
    text = f"{settings.sandboxes.base_image} is not here"
    return facts.Fact("base image", facts.Severity.WARNING, text, "it is pulled when a node starts")


def buckets(settings: settings_module.Settings) -> Iterator[facts.Fact]:
    """The fact ``buckets``, or one for each bucket whose folder lies where none may be."""
    from faas.core import bucket_places
    from faas.health import ledger

    declared = ledger.buckets(settings.data)
    refused = bucket_places.refusals(bucket_places.BucketPlaces(platform_dir.as_running(settings).data), declared)
    for error in refused:
        yield facts.Fact("bucket", facts.Severity.FAILED, error.message, error.hint)
    if declared and not refused:
        text = f"{len(declared)}, each in a folder where a bucket may be"
        yield facts.Fact("buckets", facts.Severity.OK, text)


def journals(settings: settings_module.Settings) -> Iterator[facts.Fact]:
    """The fact ``journals``."""
    from runners.journal import leftovers

    found = leftovers.census(settings.data.journals)
    text = f"{found.held} of living nodes, {found.left} of nodes that have ended, with {found.left_bytes} bytes"
    if found.left:
        hint = "a node of this machine ships those within a heartbeat; is one running?"
        yield facts.Fact("journals", facts.Severity.WARNING, text, hint)
    else:
        yield facts.Fact("journals", facts.Severity.OK, text)


BESIDE = (
    facts.Check("processes", processes),
    facts.Check("docker", docker),
    facts.Check("buckets", buckets),
    facts.Check("journals", journals),
)
"""What goes beside the checks of `faas.health`."""
