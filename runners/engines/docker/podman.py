"""What Podman does by an API of its own, since it does not do it by Docker's (version 4)."""

from __future__ import annotations

from typing import Any

import docker

from runners.engines.docker import cgroups

_API = "v4.0.0/libpod"


def update(client: docker.APIClient, name: str, limits: cgroups.Allowance, with_swap_bytes: int) -> None:
    """Set new limits on a container that runs. Raises what Docker's client raises."""
    untyped: Any = client
    wanted = {
        "memory": {"limit": limits.memory_bytes, "swap": with_swap_bytes},
        "cpu": {"quota": limits.quota_us, "period": limits.period_us, "shares": limits.shares},
    }
    url = f"{untyped.base_url}/{_API}/containers/{name}/update"
    untyped._raise_for_status(untyped.post(url, json=wanted, timeout=untyped.timeout))
