"""Limits that stay when systemd sets all it knows of again, as it does with every update of a package."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import msgspec
import pytest

from faas import artifacts
from faas.cli import languages
from faas.core import ids, model
from faas.core import settings as settings_module
from faas.runtimes import bounds, children
from runners.engines import building, choose
from runners.engines.docker import cgroups, daemon
from runners.sandbox import base
from tests import attempts, control_groups
from tests.eventually import eventually

CODE = Path(__file__).parent / "sandbox_functions"
MIB = 1 << 20
pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        not (Path("/run/systemd/system").is_dir() and Path("/sys/fs/cgroup/cgroup.controllers").exists()),
        reason="needs systemd with version 2 of cgroups: `make test-cgroup2`",
    ),
]


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    with contextlib.closing(daemon.connect()) as made:
        yield made


@pytest.fixture
async def engine(settings: settings_module.Settings) -> AsyncIterator[base.Engine]:
    limits = settings_module.changed(settings, engine="docker")
    made = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    yield made
    await made.close()


def reload() -> None:
    subprocess.run(["systemctl", "daemon-reload"], check=True)


def group(client: docker.APIClient, name: str) -> Path:
    found = cgroups.group(client.inspect_container(name)["State"]["Pid"], "memory")
    assert found is not None
    return found


def revision(settings: settings_module.Settings, memory_mb: int) -> model.Revision:
    digest, _ = artifacts.Artifacts(settings.data.root).pack(CODE)
    config = model.FunctionConfig(
        runtime="python3", handler="app.holds", memory_mb=memory_mb, cpu_milli=1500, timeout_ms=60_000
    )
    return model.Revision(function="stays", number=1, artifact=digest, config=config, created_at_ms=0)


def invocation(event: Any) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="stays",
        revision=1,
        trigger="invoke",
        mode=model.Mode.SYNC,
        event=msgspec.json.encode(event),
        accepted_at_ms=1_700_000_000_000,
    )


async def test_a_function_cannot_hold_more_than_its_memory_after_a_reload(
    engine: base.Engine, client: docker.APIClient, settings: settings_module.Settings
) -> None:
    sandbox = await engine.start(base.Spec(runtime="python3"))
    loaded = await sandbox.load(revision(settings, memory_mb=192))
    assert loaded.error is None, loaded
    own = group(client, f"faas-{sandbox.id}")
    # The engine is told of the limits after they hold, and tells systemd.
    await eventually(lambda: _memory(client, sandbox) == 192 * MIB, within=60)
    before = control_groups.limits(own)
    assert (before["memory.max"], before["memory.swap.max"]) == (str(192 * MIB), str(cgroups.LEAST_SWAP_BYTES))
    assert before["cpu.max"] == "150000 100000"
    reload()
    assert control_groups.limits(own) == before
    assert (await attempts.begun(sandbox, invocation(100))).body == b"100"
    outcome = await attempts.begun(sandbox, invocation(400))
    assert outcome.status is model.Status.OOM, outcome
    await sandbox.close()


def _memory(client: docker.APIClient, sandbox: base.Sandbox) -> int:
    return int(client.inspect_container(f"faas-{sandbox.id}")["HostConfig"]["Memory"])


async def test_stock_that_waits_keeps_its_limits(engine: base.Engine, client: docker.APIClient) -> None:
    sandbox = await engine.start(base.Spec(runtime="python3"))
    own = group(client, f"faas-{sandbox.id}")
    before = control_groups.limits(own)
    assert before["memory.max"] == str(128 * MIB)
    reload()
    assert control_groups.limits(own) == before
    await sandbox.close()


def test_what_installs_packages_keeps_its_limits(settings: settings_module.Settings, client: docker.APIClient) -> None:
    python = next(iter(languages.known(settings.sandboxes.base_image))).image
    chosen = settings_module.changed(settings, build_place="container")
    where = building.BuildPlace(chosen.data.root, chosen.building, chosen.sandboxes.engine, python)
    filled = settings.data.root / "filled"
    filled.mkdir()
    job = children.Program(command=["/bin/sleep", "600"], cwd=Path("/"), env={}, fills=(filled,), network=True)
    running = where.start(job, bounds.Bound(max_bytes=MIB, max_files=10), 600)
    try:
        (found,) = client.containers(filters={"label": building.LABEL})
        own = group(client, found["Id"])
        before = control_groups.limits(own)
        assert before["memory.max"] == str(children.MEMORY_BYTES)
        reload()
        assert control_groups.limits(own) == before
    finally:
        running.kill()
