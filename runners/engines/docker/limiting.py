"""The limits of a container: as its control groups have them, and as the engine is told of them."""

from __future__ import annotations

from typing import Any

import docker
import docker.errors

from faas.core import model
from runners.engines.docker import abilities, cgroups, confinement, podman
from runners.sandbox import verdicts

CPU_PERIOD_US = 100_000
MIN_QUOTA_US = 1_000
SHARES_PER_CPU = 1024


def quota_us(cpu_milli: int) -> int:
    """The processor time of each period, in microseconds, that so many thousandths of a processor are."""
    return max(MIN_QUOTA_US, cpu_milli * CPU_PERIOD_US // 1000)


def shares(cpu_milli: int) -> int:
    """The weight among containers while processors are short, as version 1 of cgroups counts."""
    return max(2, cpu_milli * SHARES_PER_CPU // 1000)


def allowance(config: model.FunctionConfig) -> cgroups.Allowance:
    """What the control groups of a function's container are to hold."""
    return cgroups.Allowance(
        memory_bytes=config.memory_mb << 20,
        quota_us=quota_us(config.cpu_milli),
        period_us=CPU_PERIOD_US,
        shares=shares(config.cpu_milli),
    )


def update(client: docker.APIClient, name: str, config: model.FunctionConfig, has: abilities.Abilities) -> None:
    """Tell the engine the limits of a function's container. Blocks. Raises `docker.errors.APIError`."""
    if has.maker == abilities.PODMAN:
        podman.update(client, name, allowance(config), confinement.with_swap(config.memory_mb << 20, has))
        return
    client.update_container(
        name,
        mem_limit=config.memory_mb << 20,
        memswap_limit=confinement.with_swap(config.memory_mb << 20, has),
        cpu_period=CPU_PERIOD_US,
        cpu_quota=quota_us(config.cpu_milli),
        cpu_shares=shares(config.cpu_milli) if has.has_cpu_shares else None,
    )


def limited(
    client: docker.APIClient, name: str, config: model.FunctionConfig, has: abilities.Abilities
) -> verdicts.OutOfMemory | None:
    """Set the limits; OutOfMemory when the engine refuses because more memory is in use, by what it counts itself."""
    try:
        update(client, name, config, has)
    except docker.errors.NotFound:
        raise
    except docker.errors.APIError:
        if used_bytes(client, name) > config.memory_mb << 20:
            return verdicts.OutOfMemory()
        raise
    return None


def used_bytes(client: docker.APIClient, name: str) -> int:
    """The memory that a container holds. The kernel has dropped what it could before it refused a lower limit."""
    untyped: Any = client
    found: dict[str, Any] = untyped.stats(name, stream=False, one_shot=True)
    return int(found.get("memory_stats", {}).get("usage", 0))
