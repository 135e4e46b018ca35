"""Nodes of one machine, more of them than its memory was planned for: what they promise in sum stays below it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from faas.cluster import machine
from faas.core import settings as settings_module
from tests import node_bench
from tests import platform as platforms
from tests.eventually import eventually, eventually_sync

FUNCTIONS = Path(__file__).parent.parent / "functions"
MACHINE_MB = 512
SLOT_MB = 64


@pytest.fixture
async def bench(settings: settings_module.Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[node_bench.Bench]:
    monkeypatch.setattr(machine, "machine_mb", lambda: MACHINE_MB)
    quick = settings_module.changed(
        settings, engine="process", heartbeat_ms=100, lease_ms=5_000, stock_memory_mb=64, memory_mb=MACHINE_MB
    )
    made = await node_bench.Bench.open(quick)
    yield made
    await made.close()


async def test_two_nodes_that_may_each_have_all_of_it_never_have_more_together(bench: node_bench.Bench) -> None:
    nodes = [await bench.node(), await bench.node()]
    slow = bench.function(FUNCTIONS / "slow", "app.handler", memory_mb=SLOT_MB, max_concurrency=100)
    for _ in range(120):
        await bench.send(slow, 0.2)
    broker = machine.Broker(bench.settings.data.root / "memory", MACHINE_MB)
    seen: list[int] = []

    async def all_are_done() -> bool:
        seen.append(sum(node.memory.used_mb for node in nodes))
        return (await bench.counts(slow)).done == 120

    await eventually(all_are_done, within=60)
    assert max(seen) <= MACHINE_MB
    assert max(seen) >= MACHINE_MB // 2, "they had work for all of it"
    assert all(node.memory.total_mb == MACHINE_MB for node in nodes)
    assert broker.promised_mb() == sum(node.memory.used_mb for node in nodes)


async def test_what_a_node_leaves_at_its_end_another_has_at_once(bench: node_bench.Bench) -> None:
    slow = bench.function(FUNCTIONS / "slow", "app.handler", memory_mb=448)
    first = await bench.node(stock_none=0)
    await bench.call(slow, 0)
    assert first.memory.used_mb == 448
    second = await bench.node(stock_none=0)
    assert second.memory.free_mb == MACHINE_MB - 448
    bench.nodes.remove(first)
    await first.drain(5)
    assert second.memory.free_mb == MACHINE_MB
    await bench.call(slow, 0)
    assert second.memory.used_mb == 448


CODE = """
import time

def handler(event, context):
    time.sleep(1)
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    """Two node processes, each of which was told to share out most of the machine."""
    asked = str(machine.machine_mb() * 3 // 4)
    quick = {"heartbeat_ms": "200", "lease_ms": "2000", "memory_mb": asked, "stock_none": "0"}
    with platforms.running(tmp_path / "data", "--nodes", "2", engine="process", **quick) as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        # No slot of it takes what it is promised: a process is not limited, and the machine not filled.
        large = {
            "runtime": "python3",
            "handler": "app.handler",
            "memory": f"{min(machine.machine_mb() // 6, 10_240)}MB",
        }
        made.deploy(
            tmp_path / "project", {"functions": {"large": {**large, "triggers": [{"http": {"path": "/large"}}]}}}
        )
        yield made


def _nodes(platform: platforms.Platform) -> list[dict[str, Any]]:
    nodes = platform.json("status")["nodes"]
    return list(nodes.values() if isinstance(nodes, dict) else nodes)


def _used_mb(platform: platforms.Platform) -> int:
    return sum(node["memory_used_mb"] for node in _nodes(platform))


def test_two_node_processes_never_promise_more_than_the_machine_has_also_when_one_is_killed(
    platform: platforms.Platform,
) -> None:
    for _ in range(40):
        assert platform.call("/large", b"null", headers={"Faas-Invocation-Type": "async"}).status == 202
    broker = machine.Broker(platform.data / "memory", machine.machine_mb())
    seen = []

    def is_full() -> bool:
        seen.append(broker.promised_mb())
        return seen[-1] > machine.machine_mb() // 2

    try:
        eventually_sync(is_full, within=30)
    except AssertionError:
        print(sorted(set(seen)), platform.json("status"), platform.logs()[-3000:])
        raise
    killed = platform.processes()["node-2"]
    os.kill(killed, signal.SIGKILL)

    def all_are_done() -> bool:
        seen.append(broker.promised_mb())
        seen.append(_used_mb(platform))
        return platform.conserved()

    eventually_sync(all_are_done, within=120)
    assert max(seen) <= machine.machine_mb()
    eventually_sync(lambda: broker.dead() == [], within=30)
    eventually_sync(lambda: broker.promised_mb() == _used_mb(platform), within=30)
