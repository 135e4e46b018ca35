"""Which engines of containers may hold functions: what cannot keep the least of our promises is refused by its name."""

from __future__ import annotations

from pathlib import Path

from faas.core import groups
from runners.engines.docker import abilities, cgroups
from runners.sandbox import base

_LEAST = ("memory", "processes", "processor time")
"""What an engine has to limit: without it one function takes the machine from all others."""

_HOW_TO_LIMIT = (
    "a rootless engine needs version 2 of cgroups and systemd, which gives its user memory, cpu and pids"
    " (Delegate=); or use an engine of root"
)


def check(root: Path, sandboxes: groups.Sandboxes, has: abilities.Abilities, user: int) -> None:
    """Raise `base.EngineUnavailable` for an engine, or a runtime of it, that is not supported.

    ``user`` is whose the platform's processes are.
    """
    _check_runtime(sandboxes.sandbox_runtime, has)
    _check_sockets(sandboxes.sandbox_runtime or has.default_runtime, has)
    _check_limits(has)
    _check_user(has, user)
    _check_path(str(root), has)


def check_limited(memory: Path | None, wanted_bytes: int) -> None:
    """Raise `base.EngineUnavailable` where an engine has not set a limit of memory, whatever it says of itself.

    ``memory`` is the control group of a container that was just started; nothing is known where this host shows none.
    Rootless engines say that they limit memory also where their user was given no control groups.
    """
    if memory is not None and cgroups.memory_limit_bytes(memory) != wanted_bytes:
        raise base.EngineUnavailable(
            "the engine has started a container without the limit of memory that was asked for", hint=_HOW_TO_LIMIT
        )


def _check_runtime(name: str, has: abilities.Abilities) -> None:
    if not name:
        return
    if has.maker == abilities.PODMAN:
        raise base.EngineUnavailable(
            f"sandbox_runtime is {name[:60]!r}, and Podman does not listen to that by Docker's API",
            hint="leave it out, and name the runtime in Podman's containers.conf",
        )
    if name not in has.runtimes:
        raise base.EngineUnavailable(
            f"sandbox_runtime is {name[:60]!r}, which this engine does not have",
            hint=f"it has {', '.join(has.runtimes) or 'none that it tells of'}; others are named in its daemon.json",
        )


def _check_sockets(runtime: str, has: abilities.Abilities) -> None:
    if has.maker == abilities.DOCKER and runtime in has.without_sockets:
        raise base.EngineUnavailable(
            f"the containers of the runtime {runtime} cannot connect to the platform's sockets",
            hint='add "--host-uds=open" to its runtimeArgs in the engine\'s daemon.json, and reload the engine',
        )


def _check_limits(has: abilities.Abilities) -> None:
    # No engine gives control groups of version 1 to a user, and Podman says all the same that it limits.
    cannot = _LEAST if has.is_rootless and has.cgroups == 1 else has.cannot_limit
    missing = [what for what in _LEAST if what in cannot]
    if missing:
        kind = f"{'rootless ' if has.is_rootless else ''}{has.maker}"
        raise base.EngineUnavailable(
            f"{kind} {has.version} cannot limit {', '.join(missing)} of a container here",
            hint=_HOW_TO_LIMIT,
        )


def _check_user(has: abilities.Abilities, user: int) -> None:
    if has.is_rootless and user == 0:
        raise base.EngineUnavailable(
            f"{has.maker} is rootless, and the platform runs as root, whose folders it cannot reach",
            hint="start the platform as the user that the engine belongs to, or use an engine of root",
        )


def _check_path(root: str, has: abilities.Abilities) -> None:
    """Podman takes a mount apart at its commas, so that a part of a path would be an option."""
    if has.maker == abilities.PODMAN and "," in root:
        raise base.EngineUnavailable(
            f"the data directory {root} has a comma in its path, which Podman does not take",
            hint="name another one by --data-dir",
        )
