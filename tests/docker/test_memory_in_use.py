"""More memory is in use than a revision may have: that is established by what is counted, never by what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from faas.core import model
from faas.core import settings as settings_module
from runners.engines.docker import abilities, cgroups, daemon, limiting
from runners.sandbox import verdicts
from tests import base_image
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

MADE_MB, HELD_MB = 256, 120
HAS = abilities.Abilities()
HOLDS = f"import time; held = b'x' * ({HELD_MB} << 20); time.sleep(600)"


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    made = daemon.connect()
    yield made
    made.close()


@pytest.fixture
def container(client: docker.APIClient) -> Iterator[str]:
    """A container of this test's own that holds `HELD_MB`, which nobody can take back."""
    untyped: Any = client
    limits = {"Memory": MADE_MB << 20, "MemorySwap": MADE_MB << 20, "NetworkMode": "none"}
    options = {
        "Image": base_image.of(client, settings_module.Settings()),
        "Entrypoint": ["python3", "-c", HOLDS],
        "Cmd": [],
        "HostConfig": limits,
    }
    name: str = untyped.create_container_from_config(options)["Id"]
    try:
        client.start(name)
        eventually_sync(lambda: limiting.used_bytes(client, name) > HELD_MB << 20, within=30)
        yield name
    finally:
        client.remove_container(name, force=True, v=True)


def config(memory_mb: int) -> model.FunctionConfig:
    return model.FunctionConfig(runtime="python3", handler="app.f", memory_mb=memory_mb)


def memory_of(client: docker.APIClient, container: str) -> Path:
    found = cgroups.group(client.inspect_container(container)["State"]["Pid"], "memory")
    if found is None or not (found / "memory.limit_in_bytes").exists():
        pytest.skip("this host has no memory cgroup of version 1 that can be seen: version 2 kills, and counts it")
    return found


def test_the_engine_that_refuses_a_lower_limit_has_its_figures_read(client: docker.APIClient, container: str) -> None:
    memory_of(client, container)
    assert isinstance(limiting.limited(client, container, config(HELD_MB // 2), HAS), verdicts.OutOfMemory)
    assert limiting.limited(client, container, config(HELD_MB + 40), HAS) is None


def test_an_engine_that_refuses_for_another_reason_has_not_run_out_of_memory(
    client: docker.APIClient, container: str
) -> None:
    with pytest.raises(docker.errors.APIError):
        limiting.limited(client, container, config(2**44), HAS)
    with pytest.raises(docker.errors.NotFound):
        limiting.limited(client, "no-such-container", config(HELD_MB), HAS)


def test_a_kernel_that_refuses_a_lower_limit_says_so_by_its_error(client: docker.APIClient, container: str) -> None:
    group = memory_of(client, container)
    cpu = cgroups.group(client.inspect_container(container)["State"]["Pid"], "cpu")
    below = limiting.allowance(config(HELD_MB // 2))
    assert cgroups.limit(group, cpu, below) is cgroups.Limited.IN_USE
    above = limiting.allowance(config(HELD_MB + 40))
    assert cgroups.limit(group, cpu, above) is cgroups.Limited.YES
