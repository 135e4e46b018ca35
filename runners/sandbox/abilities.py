"""What an engine of containers says of itself and of its host, and what follows for sandboxes. No I/O but one call."""

from __future__ import annotations

from typing import Any

import docker
import msgspec

from runners.sandbox import base


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """An engine: its version, its runtimes, and what of the kernel it can use."""

    version: str = "unknown"
    machine: str = ""
    """The host's processor, as `uname -m` has it."""
    cgroups: int = 1
    runtimes: tuple[str, ...] = ()
    default_runtime: str = "runc"
    has_seccomp: bool = False
    remaps_users: bool = False
    """Whether user 0 of a container is another one of the host (`userns-remap`, or rootless)."""
    is_rootless: bool = False
    has_cpu_shares: bool = True
    """Whether processor time can be shared out; rootless engines often may not."""


def ask(client: docker.APIClient) -> Abilities:
    """What the engine has. Blocks; raises what its client raises."""
    untyped: Any = client
    return parse(untyped.info())


def parse(info: dict[str, Any]) -> Abilities:
    """The engine's answer, in which older ones, and other makers', leave things out."""
    security = {option.partition(",")[0] for option in info.get("SecurityOptions") or ()}
    is_rootless = "name=rootless" in security
    version = str(info.get("CgroupVersion") or "1")
    return Abilities(
        version=str(info.get("ServerVersion") or "unknown"),
        machine=str(info.get("Architecture") or ""),
        cgroups=int(version) if version.isdecimal() else 1,
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        default_runtime=str(info.get("DefaultRuntime") or "runc"),
        has_seccomp="name=seccomp" in security,
        remaps_users=is_rootless or "name=userns" in security,
        is_rootless=is_rootless,
        # A rootless engine says that it can whether or not its user has the controller, and then starts nothing.
        has_cpu_shares=bool(info.get("CPUShares", True)) and not is_rootless,
    )


def check_runtime(name: str, has: Abilities) -> None:
    """Raise `base.EngineUnavailable` for a runtime, by name, that the engine does not have; empty is its default."""
    if name and name not in has.runtimes:
        raise base.EngineUnavailable(
            f"sandbox_runtime is {name[:60]!r}, which this engine does not have",
            hint=f"it has {', '.join(has.runtimes) or 'none that it tells of'}; others are named in its daemon.json",
        )
