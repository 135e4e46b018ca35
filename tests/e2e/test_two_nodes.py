"""Two nodes behind one port: one is told to end, or is paused, under load; a flood of one function reaches both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import callers as callers_module
from tests import platform as platforms
from tests.eventually import eventually, eventually_sync

CODE = """
import time

def waits(event, context):
    time.sleep(float(event["pathParameters"]["seconds"]))
    return context.invocation_id

def flood(event, context):
    time.sleep(0.004)

def prints(event, context):
    for number in range(3):
        print(f"{event['id']}-{number}", flush=True)
        time.sleep(0.05)
"""
PYTHON = {"runtime": "python3", "timeout": "60s", "memory": "64MB"}
MANIFEST: dict[str, Any] = {
    "functions": {
        "waits": {**PYTHON, "handler": "app.waits", "triggers": [{"http": {"path": "/waits/{seconds}"}}]},
        "flood": {**PYTHON, "handler": "app.flood"},
        "prints": {**PYTHON, "handler": "app.prints"},
    }
}
ASYNC = {"Faas-Invocation-Type": "async"}
CLOSING = {"Connection": "close"}
LEASE_S = 2
FLOOD = 20_000
PRINTING = 120


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    quick = {"heartbeat_ms": "200", "lease_ms": str(LEASE_S * 1_000), "memory_mb": "512"}
    quick["bucket_roots"] = str(tmp_path / "bucket")
    with platforms.running(tmp_path / "data", "--nodes", "2", engine="process", **quick) as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        made.deploy(tmp_path / "project", MANIFEST)
        yield made


async def test_a_node_that_is_told_to_end_under_sync_load_breaks_no_connection_without_an_answer(
    platform: platforms.Platform,
) -> None:
    async with callers_module.calling(platform.facts["gateway"]) as callers, asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(callers.keep_calling("/waits/0.05", CLOSING)) for _ in range(12)]
        load += [tasks.create_task(callers.keep_calling("/waits/0.05")) for _ in range(12)]
        await eventually(lambda: len(callers.calls) > 100, within=60)
        for _ in range(2):
            long = [tasks.create_task(callers.call("/waits/3")) for _ in range(4)]
            count = len(callers.calls)
            await eventually(lambda seen=count: len(callers.calls) > seen + 50, within=60)
            ended = platform.processes()["node"]
            os.kill(ended, signal.SIGTERM)
            await eventually(lambda gone=ended: platform.processes()["node"] not in (gone, None), within=60)
            answers = [await one for one in long]
            assert {call.status for call in answers} == {200}, answers
        for task in load:
            task.cancel()
    assert not [call for call in callers.calls if call.status != 200 and call.was_connected]
    refused = [call for call in callers.calls if not call.was_connected]
    assert len(refused) <= 1, "only whoever connects in the very instant in which the port is closed"
    eventually_sync(platform.conserved, within=60)


async def test_a_node_that_was_paused_past_its_lease_settles_nothing_twice(platform: platforms.Platform) -> None:
    paused = platform.processes()["node"]
    async with callers_module.calling(platform.facts["gateway"]) as callers, asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(callers.keep_calling("/waits/0.3")) for _ in range(8)]
        await eventually(lambda: len([call for call in callers.calls if call.status == 200]) > 40, within=60)
        await asyncio.gather(*(callers.call("/waits/0.3", ASYNC) for _ in range(100)))
        os.kill(paused, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            await eventually(lambda: "node_taken_over" in platform.logs(), within=60)
            await eventually(lambda: time.monotonic() > stopped + 4 * LEASE_S, within=60)
        finally:
            os.kill(paused, signal.SIGCONT)
        woke = time.monotonic()
        await eventually(lambda: len([c for c in callers.since(woke) if c.status == 200]) > 40, within=60)
        for task in load:
            task.cancel()
    assert platform.processes()["node"] == paused
    eventually_sync(platform.conserved, within=60)
    for call in callers.calls:
        if call.status in (200, 202):
            records = eventually_sync(lambda id=call.invocation_id: _records(platform, id), within=60)
            assert len({row["attempt"] for row in records}) == len(records)
            assert len([row for row in records if row["final"]]) == 1
            if call.status == 202:
                assert records[-1]["status"] == "ok"
            assert all(row["billed_ms"] == 0 for row in records if row["status"] == "lost")
            if call.status == 200:
                assert records[-1]["status"] == "ok", "what another node called lost was answered"


def test_what_was_answered_is_recorded_so_also_when_its_node_is_killed_at_that_moment(
    platform: platforms.Platform,
) -> None:
    gateway = urllib.parse.urlsplit(platform.facts["gateway"])
    answered: list[str] = []
    killed: set[int] = set()
    for _ in range(5):
        nodes = eventually_sync(lambda: _both_nodes(platform, killed), within=60)
        killed.update(nodes)
        with contextlib.suppress(ConnectionError), _connected(gateway) as connection:
            for number in range(20):
                connection.sendall(b"GET /waits/0 HTTP/1.1\r\nHost: gateway\r\n\r\n")
                answer = connection.recv(65_536)
                if number == 19:
                    for pid in nodes:
                        os.kill(pid, signal.SIGKILL)
                assert answer.startswith(b"HTTP/1.1 200 ")
                answered.append(_invocation_id(answer))
    assert len(answered) > 50
    for invocation_id in answered:
        (record,) = eventually_sync(lambda id=invocation_id: _records(platform, id), within=60)
        assert record["status"] == "ok"
        assert record["billed_ms"] >= 1
    eventually_sync(platform.conserved, within=60)


def _both_nodes(platform: platforms.Platform, killed: set[int]) -> list[int] | None:
    found = [pid for name, pid in platform.processes().items() if name.startswith("node") and pid]
    with contextlib.suppress(OSError):
        if len(set(found) - killed) == 2 and platform.call("/waits/0").status == 200:
            return found
    return None


def _connected(gateway: urllib.parse.SplitResult) -> socket.socket:
    return socket.create_connection((gateway.hostname, gateway.port), timeout=60)


def _invocation_id(answer: bytes) -> str:
    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    (found,) = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("faas-invocation-id")]
    return found


async def test_what_a_killed_node_was_publishing_is_removed_by_the_next_one(
    platform: platforms.Platform, tmp_path: Path
) -> None:
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    platform.deploy(tmp_path / "project", {**MANIFEST, "buckets": {"box": {"path": str(bucket)}}})
    left = bucket / f".faas-{0:016x}"
    left.touch()
    killed = platform.processes()["node"]
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: not left.exists(), within=60)
    await eventually(lambda: "buckets_swept" in platform.logs(), within=60)


async def test_a_flood_of_one_function_delays_the_sync_calls_of_another_by_little(
    platform: platforms.Platform, tmp_path: Path
) -> None:
    async with callers_module.calling(platform.facts["gateway"]) as callers:
        assert (await callers.call("/waits/0")).status == 200
        for _ in range(FLOOD // 1_000):
            batch = json.dumps([None] * 1_000).encode()
            answer = await asyncio.to_thread(platform.api, "/api/v1/functions/flood/invocations:batch", batch, "POST")
            assert answer.status == 202, answer
        calls = []
        while (await asyncio.to_thread(_waiting, platform, "flood")) > FLOOD // 10:
            calls += await asyncio.gather(*(callers.call("/waits/0.01") for _ in range(4)))
    assert len(calls) >= 20
    assert {call.status for call in calls} == {200}
    print(sorted(round(call.took_s, 2) for call in calls)[-10:], len(calls))
    assert max(call.took_s for call in calls) < 10
    eventually_sync(platform.conserved, within=120)


def _records(platform: platforms.Platform, invocation_id: str) -> list[dict[str, Any]]:
    state = platform.api(f"/api/v1/invocations/{invocation_id}").json()
    return sorted(state["records"], key=lambda row: row["attempt"]) if state.get("settled") else []


def _waiting(platform: platforms.Platform, function: str) -> int:
    count: int = platform.json("status")["functions"][function]["waiting"]
    return count


def test_a_follower_of_logs_misses_no_line_and_sees_none_twice_when_a_node_is_killed(
    platform: platforms.Platform, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    with shown.open("wb") as out:
        follower = platform.begin("logs", "prints", "-f", "--tail", "0", "--json", stdout=out)
    try:
        eventually_sync(lambda: _printed(platform) and _lines(shown), within=60)
        _begin_printing(platform)
        eventually_sync(lambda: len(_lines(shown)) > PRINTING // 4, within=60)
        before = _lines(shown)
        os.kill(platform.processes()["node"], signal.SIGKILL)
        eventually_sync(lambda: len(_lines(shown)) > len(before) + PRINTING, within=60)
        eventually_sync(platform.conserved, within=120)
        # What the node had begun is tried again after a while, and until then nothing is under way.
        recorded = eventually_sync(lambda: _all_recorded(platform), within=120)
        eventually_sync(lambda: not recorded - _counted(_lines(shown)), within=60)
        assert follower.poll() is None
    finally:
        follower.terminate()
        follower.wait(30)
    more = _counted(_lines(shown)) - recorded
    assert set(more.values()) <= {1}
    # What was shown and never recorded had been printed by the node that died, and was printed again elsewhere.
    assert {text for _, _, text in more} <= {text for _, _, text in recorded}


def _printed(platform: platforms.Platform) -> bool:
    """Let one call print and end: whoever follows from now on may have begun after it."""
    return platform.api("/api/v1/functions/prints/invocations", b'{"id": "first"}', "POST").status == 200


def _begin_printing(platform: platforms.Platform) -> None:
    batch = json.dumps([{"id": number} for number in range(PRINTING)]).encode()
    answer = platform.api("/api/v1/functions/prints/invocations:batch", batch, "POST")
    assert answer.status == 202, answer


def _all_recorded(platform: platforms.Platform) -> Counter[tuple[str, int, str]] | None:
    found = _counted(platform.json("logs", "prints", "--tail", "all", "--since", "1h"))
    return found if len({text for _, _, text in found}) == 3 * PRINTING else None


def _lines(shown: Path) -> list[dict[str, Any]]:
    """What was shown in whole lines."""
    whole, _, _ = shown.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]


def _counted(lines: list[dict[str, Any]]) -> Counter[tuple[str, int, str]]:
    """Lines by invocation, attempt and text, but for those that came before anybody followed."""
    return Counter(
        (line["invocation_id"], line["attempt"], line["text"])
        for line in lines
        if not line["text"].startswith("first-")
    )
