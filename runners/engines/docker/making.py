"""How the container of a sandbox is made: what it sees, who it is, and what it may use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import msgspec

from faas.core import groups, model
from runners.engines import folder, languages
from runners.engines.docker import abilities, confinement, limiting
from runners.sandbox import base

AGENT = "/var/runtime"
LINK = "/var/faas"
TASK = "/var/task"
HOST_NAME = "sandbox"
LABEL_DATA_DIR = "faas.data_dir"
LABEL_RUNNER = "faas.runner"
LABEL_NODE = "faas.node"
LABEL_SANDBOX = "faas.sandbox"


class ContainerKind(msgspec.Struct, frozen=True, kw_only=True):
    """All that is the same in the containers of one engine."""

    labels: dict[str, str]
    sandboxes: groups.Sandboxes
    has: abilities.Abilities = abilities.Abilities()
    filter_file: str = ""


def options(
    container: ContainerKind, language: languages.Language, spec: base.Spec, own: folder.Folder, sandbox: str, user: int
) -> dict[str, Any]:
    """The body of the call that creates a container."""
    sandboxes = container.sandboxes
    return {
        "Image": language.image,
        "Entrypoint": language.runtime.command(AGENT, LINK),
        "Cmd": [],
        "User": f"{user}:{user}",
        "WorkingDir": "/",
        # Its number has no name in the image, and some libraries ask for one.
        "Env": ["HOME=/tmp", "USER=sandbox", "LOGNAME=sandbox"],
        "Hostname": HOST_NAME,
        "Labels": {**container.labels, LABEL_SANDBOX: sandbox},
        "HostConfig": {
            **confinement.fields(container.has, sandboxes.max_file_mb << 20, container.filter_file),
            "NetworkMode": "none" if spec.network is model.Network.NONE else "bridge",
            # Without a network the engine gives its name no address, and much code asks for its own.
            "ExtraHosts": [f"{HOST_NAME}:127.0.0.1"] if spec.network is model.Network.NONE else [],
            "Runtime": sandboxes.sandbox_runtime,
            "Memory": spec.memory_mb << 20,
            "MemorySwap": confinement.with_swap(spec.memory_mb << 20, container.has),
            "CpuPeriod": limiting.CPU_PERIOD_US,
            "CpuQuota": limiting.quota_us(spec.cpu_milli),
            "CpuShares": limiting.shares(spec.cpu_milli) if container.has.has_cpu_shares else 0,
            "PidsLimit": sandboxes.max_pids,
            "Tmpfs": {"/tmp": f"rw,nosuid,nodev,exec,size={sandboxes.tmp_mb}m,mode=1777"},  # noqa: S108 - the sandbox's
            "LogConfig": {"Type": "none"},
            "Mounts": [
                _mount(own.agent, AGENT),
                _mount(own.link, LINK),
                _mount(own.task, TASK),
            ],
        },
    }


def _mount(source: Path, target: str) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True}


def create_and_start(client: docker.APIClient, name: str, options: dict[str, Any]) -> None:
    """Make a container of that body, and start it. Blocks. Raises `docker.errors.APIError`."""
    untyped: Any = client
    untyped.create_container_from_config(options, name)
    client.start(name)
