"""A burst of first calls: no more containers than may be, each call answered or refused, and nothing left over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest

from runners.engines import folder
from runners.engines.docker import making
from tests import callers as callers_module
from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

CALLS = 1_000
MEMORY_MB = 64
MOST_BY_MEMORY = 6
MOST_BY_CONCURRENCY = 3
STOCK = 1
OTHER = 1
"""What the other function was loaded in at the deploy."""
CODE = """
import time

def handler(event, context):
    time.sleep(0.02)
    return "done"
"""


def _function(path: str, **more: object) -> dict[str, Any]:
    triggers = [{"http": {"path": path}}]
    return {"runtime": "python3", "handler": "app.handler", "memory": f"{MEMORY_MB}MB", "triggers": triggers, **more}


MANIFEST = {
    "functions": {
        "bounded": _function("/bounded", max_concurrency=MOST_BY_CONCURRENCY),
        "unbounded": _function("/unbounded"),
    }
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    project = tmp_path_factory.mktemp("project")
    (project / "app.py").write_text(CODE)
    settings = {"memory_mb": str(MEMORY_MB * MOST_BY_MEMORY), "stock_none": str(STOCK), "max_waiting": "700"}
    with platforms.running(tmp_path_factory.mktemp("data"), "--engine", "docker", **settings) as made:
        made.deploy(project, MANIFEST)
        yield made


@pytest.mark.parametrize(
    ("path", "most"), [("/bounded", MOST_BY_CONCURRENCY + STOCK + OTHER), ("/unbounded", MOST_BY_MEMORY)]
)
async def test_a_thousand_first_calls_at_once_make_no_more_containers_than_may_be_and_are_all_answered(
    platform: platforms.Platform, path: str, most: int
) -> None:
    seen: list[int] = []
    async with callers_module.calling(platform.facts["gateway"]) as callers:
        burst = asyncio.gather(*(callers.call(path) for _ in range(CALLS)))
        while not burst.done():
            seen.append(await asyncio.to_thread(_containers, platform))
        calls = await burst
    assert max(seen) <= most, seen
    assert {call.status for call in calls} <= {200, 429, 503}
    assert all(call.retry_after for call in calls if call.status != 200)
    assert len([call for call in calls if call.status == 200]) >= 100
    eventually_sync(platform.conserved, within=60)
    assert platform.call(path).status == 200
    eventually_sync(lambda: _containers(platform) == _sandboxes(platform), within=60)


def _containers(platform: platforms.Platform) -> int:
    with closing(docker.from_env()) as client:
        identity = folder.identity(platform.data / "sandboxes")
        label = f"{making.LABEL_DATA_DIR}={identity}"
        return len(client.containers.list(sparse=True, filters={"label": label}))


def _sandboxes(platform: platforms.Platform) -> int:
    return sum(sum(node["sandboxes"].values()) for node in platform.json("status")["nodes"])
