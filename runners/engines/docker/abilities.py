"""What an engine of containers says of itself and of its host, and what follows for sandboxes. No I/O but one call."""

from __future__ import annotations

import re
from typing import Any

import docker
import msgspec

DOCKER, PODMAN = "Docker", "Podman"

_ON_THE_HOSTS_KERNEL = ("runc", "crun", "io.containerd.runc.v2")

_LIMITS = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "processor time", "SwapLimit": "swap"}
"""Fields of an engine's answer that are false where it cannot limit something."""


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """An engine: its version, its runtimes, and what of the kernel it can use."""

    maker: str = DOCKER
    """Whose it is: Docker's, or another's that speaks its API."""
    version: str = "unknown"
    machine: str = ""
    """The host's processor, as `uname -m` has it."""
    cgroups: int = 1
    runtimes: tuple[str, ...] = ()
    default_runtime: str = "runc"
    without_sockets: tuple[str, ...] = ()
    """Those of the runtimes whose containers can connect to no socket of the host: gVisor, unless it is told to."""
    has_seccomp: bool = False
    remaps_users: bool = False
    """Whether user 0 of a container is another one of the host (`userns-remap`, or rootless)."""
    first_user: int | None = None
    """The number that user 0 of a container has on the host, where the engine says it (`userns-remap`)."""
    is_rootless: bool = False
    has_cpu_shares: bool = True
    """Whether processor time can be shared out; rootless engines often may not."""
    cannot_limit: tuple[str, ...] = ()
    """What of a container it says that it cannot limit: some of `_LIMITS`."""

    def shares_kernel(self, runtime: str) -> bool:
        """Whether containers of a runtime (empty: the default) are on the host's kernel, which sees their files."""
        return (runtime or self.default_runtime) in _ON_THE_HOSTS_KERNEL

    def on_host(self, user: int) -> int | None:
        """The number on the host of a container's user; None where it is another one that nobody tells."""
        if not self.remaps_users:
            return user
        return None if self.first_user is None else self.first_user + user


def ask(client: docker.APIClient) -> Abilities:
    """What the engine has. Blocks; raises what its client raises."""
    untyped: Any = client
    return parse(untyped.info())


def parse(info: dict[str, Any]) -> Abilities:
    """The engine's answer, in which older ones, and other makers', leave things out."""
    security = {option.partition(",")[0] for option in info.get("SecurityOptions") or ()}
    is_rootless = "name=rootless" in security or bool(info.get("Rootless"))  # the latter is Podman's word for it
    version = str(info.get("CgroupVersion") or "1")
    runtimes: dict[str, Any] = info.get("Runtimes") or {}
    return Abilities(
        # Docker's API has no field for it, so its imitators are told by one that Docker does not have.
        maker=PODMAN if "BuildahVersion" in info else DOCKER,
        version=str(info.get("ServerVersion") or "unknown"),
        machine=str(info.get("Architecture") or ""),
        cgroups=int(version) if version.isdecimal() else 1,
        runtimes=tuple(sorted(runtimes)),
        without_sockets=tuple(name for name, each in sorted(runtimes.items()) if _has_no_sockets(each)),
        default_runtime=str(info.get("DefaultRuntime") or "runc"),
        has_seccomp="name=seccomp" in security,
        remaps_users=is_rootless or "name=userns" in security,
        first_user=_first_user(str(info.get("DockerRootDir") or "")) if "name=userns" in security else None,
        is_rootless=is_rootless,
        # A rootless engine says that it can whether or not its user has the controller, and then starts nothing.
        has_cpu_shares=bool(info.get("CPUShares", True)) and not is_rootless,
        cannot_limit=tuple(what for field, what in _LIMITS.items() if info.get(field) is False),
    )


def _has_no_sockets(runtime: dict[str, Any]) -> bool:
    """Only of a runtime that is named by its program its arguments are told."""
    if not str(runtime.get("path") or "").rpartition("/")[2].startswith("runsc"):
        return False
    return not any(re.fullmatch(r"--?host-uds=(open|all)", each) for each in runtime.get("runtimeArgs") or ())


def _first_user(root: str) -> int | None:
    """An engine that maps users has all that it keeps in a folder of the first one's name: ``…/165536.165536``."""
    match = re.search(r"/([0-9]{1,10})\.\1$", root)
    return int(match[1]) if match is not None else None
