"""Redis stands still, or is killed, under load on two nodes: no answer is late or false, nothing accepted is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import callers as callers_module
from tests import platform as platforms
from tests.eventually import eventually, eventually_sync

CODE = """
import time

def handler(event, context):
    time.sleep(float(event["pathParameters"]["seconds"]))
    return context.invocation_id
"""
MANIFEST: dict[str, Any] = {
    "functions": {
        "waits": {
            "runtime": "python3",
            "handler": "app.handler",
            "timeout": "60s",
            "triggers": [{"http": {"path": "/waits/{seconds}"}}],
        }
    }
}
ASYNC = {"Faas-Invocation-Type": "async"}
LEASE_S = 3
AWAY_S = 3 * LEASE_S


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    quick = {"heartbeat_ms": "300", "lease_ms": str(LEASE_S * 1_000)}
    with platforms.running(tmp_path / "data", "--nodes", "2", engine="process", **quick) as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        made.deploy(tmp_path / "project", MANIFEST)
        yield made


async def test_while_redis_stands_still_sync_calls_go_on_and_async_ones_are_refused_at_once(
    platform: platforms.Platform,
) -> None:
    redis = platform.processes()["redis"]
    async with callers_module.calling(platform.facts["gateway"]) as callers, asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(callers.keep_calling("/waits/0.02")) for _ in range(4)]
        load += [tasks.create_task(callers.keep_calling("/waits/0.02", ASYNC)) for _ in range(2)]
        long = [tasks.create_task(callers.call(f"/waits/{AWAY_S / 2}")) for _ in range(2)]
        sent = [await callers.call(f"/waits/{AWAY_S / 2}", ASYNC) for _ in range(2)]
        await eventually(lambda: len([call for call in callers.calls if call.status == 200]) > 50, within=60)
        await eventually(lambda: _running(platform) >= 4, within=60)
        os.kill(redis, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            await eventually(lambda: time.monotonic() > stopped + AWAY_S, within=AWAY_S + 10)
        finally:
            os.kill(redis, signal.SIGCONT)
        back = time.monotonic()
        await eventually(lambda: len([c for c in callers.since(back) if c.status == 200]) > 50, within=60)
        for task in load:
            task.cancel()
    meanwhile = callers.since(stopped + 2, back - 2)
    refused = [call for call in meanwhile if call.status == 503]
    assert refused, "async calls are Redis's to keep"
    assert all(call.retry_after for call in refused)
    assert max(call.took_s for call in refused) < 2
    assert len([call for call in meanwhile if call.status == 200]) > 100, "sync calls went on"
    assert {call.status for call in meanwhile} == {200, 503}
    assert [task.result().status for task in long] == [200] * 2, "what ran went on, and its callers have their answers"
    assert all(call.status in (200, 202, 503) for call in callers.calls), "no connection broke without an answer"
    _nothing_is_lost(platform, callers)
    assert [platform.record(call.invocation_id)["attempt"] for call in sent] == [1] * 2
    assert "node_taken_over" not in platform.logs(), "who could not renew for want of Redis is not dead"


async def test_a_redis_that_is_killed_under_load_again_and_again_loses_nothing(platform: platforms.Platform) -> None:
    async with callers_module.calling(platform.facts["gateway"]) as callers, asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(callers.keep_calling("/waits/0.02")) for _ in range(4)]
        load += [tasks.create_task(callers.keep_calling("/waits/0.02", ASYNC)) for _ in range(2)]
        for _ in range(3):
            count = len(callers.calls)
            await eventually(
                lambda seen=count: len([c for c in callers.calls[seen:] if c.status == 200]) > 30, within=60
            )
            killed = platform.processes()["redis"]
            os.kill(killed, signal.SIGKILL)
            await eventually(lambda gone=killed: platform.processes()["redis"] not in (gone, None), within=60)
        count = len(callers.calls)
        await eventually(lambda: len([c for c in callers.calls[count:] if c.status == 202]) > 30, within=60)
        for task in load:
            task.cancel()
    assert all(call.retry_after for call in callers.calls if call.status == 503)
    _nothing_is_lost(platform, callers)


def _nothing_is_lost(platform: platforms.Platform, callers: callers_module.Callers) -> None:
    eventually_sync(platform.conserved, within=120)
    kept = [call.invocation_id for call in callers.calls if call.status in (200, 202)]
    assert len(kept) == len(set(kept))
    for invocation_id in kept:
        assert eventually_sync(lambda id=invocation_id: _statuses(platform, id), within=60)[-1] == "ok"


def _statuses(platform: platforms.Platform, invocation_id: str) -> list[str]:
    """Of its attempts, in order, once the last one is recorded; none is recorded twice."""
    state = platform.api(f"/api/v1/invocations/{invocation_id}").json()
    records = sorted(state.get("records", ()), key=lambda row: row["attempt"])
    assert len({row["attempt"] for row in records}) == len(records)
    return [row["status"] for row in records] if state.get("settled") else []


def _running(platform: platforms.Platform) -> int:
    count: int = platform.json("status")["functions"]["waits"]["running"]
    return count
