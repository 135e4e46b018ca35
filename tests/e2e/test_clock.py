"""The machine's clock jumps an hour, either way, under a whole platform: what it runs, owes and knows is as before."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import clock as clocks
from tests import platform as platforms
from tests.eventually import eventually_sync

HOUR_S = 3_600
CODE = """
import os, time
import faas

def sleeps(event, context):
    time.sleep(event)
    return "slept"

def fails_once(event, context):
    with open(event, "a") as file:
        file.write("x")
    if os.path.getsize(event) < 2:
        raise faas.RetryAfter(6)
    return "tried again"

def ticks(event, context):
    print("due", event["time"])

def keyed(event, context):
    return time.time()
"""
SLEEPS = {"runtime": "python3", "handler": "app.sleeps", "timeout": "60s"}
MANIFEST: dict[str, Any] = {
    "functions": {
        "sleeps": SLEEPS,
        "retried": {"runtime": "python3", "handler": "app.fails_once"},
        "ticks": {"runtime": "python3", "handler": "app.ticks", "triggers": [{"timer": {"every": "2s"}}]},
        "keyed": {"runtime": "python3", "handler": "app.keyed", "triggers": [{"http": {"path": "/keyed"}}]},
    }
}
QUICK = {"heartbeat_ms": "250", "lease_ms": "4000"}


@pytest.fixture
def clock(tmp_path: Path) -> clocks.Clock:
    return clocks.Clock(tmp_path / "clock")


@pytest.fixture
def platform(tmp_path: Path, clock: clocks.Clock) -> Iterator[platforms.Platform]:
    with platforms.running(tmp_path / "data", "--nodes", "2", clock=clock, engine="process", **QUICK) as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        made.deploy(tmp_path / "project", MANIFEST)
        yield made


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_what_runs_and_what_is_due_is_as_if_nothing_had_been(
    platform: platforms.Platform, clock: clocks.Clock, open_folder: Path, seconds: int
) -> None:
    called: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: called.append(platform.json("invoke", "sleeps", "--data", "6")))
    caller.start()
    running = _send(platform, "sleeps", 6)
    eventually_sync(lambda: _places(platform, "sleeps")["running"] == 2, within=60)
    retried = _send(platform, "retried", str(open_folder / "tries"))
    eventually_sync(lambda: _places(platform, "retried")["retrying"] == 1, within=60)
    delayed = _send(platform, "sleeps", 0, "--delay", "5s")
    clock.jump(seconds)
    after = _send(platform, "sleeps", 0, "--delay", "1s")
    assert platform.json("invoke", "sleeps", "--data", "0")["result"] == "slept"
    caller.join()
    records = [platform.record(each) for each in (called[0]["invocation_id"], running, retried, delayed, after)]
    assert [(each["status"], each["attempt"]) for each in records] == [
        ("ok", 1),
        ("ok", 1),
        ("ok", 2),
        ("ok", 1),
        ("ok", 1),
    ]
    assert all(6_000 <= each["billed_ms"] < 30_000 for each in records[:2])
    assert all(0 <= each["queue_ms"] < (HOUR_S + 60) * 1_000 for each in records), "what waited aged with the clock"
    assert "node_taken_over" not in platform.logs()
    assert platform.faas("doctor").returncode == 0
    eventually_sync(platform.conserved, within=60)


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_a_node_that_dies_after_a_jump_is_taken_over_in_the_time_of_its_lease(
    platform: platforms.Platform, clock: clocks.Clock, seconds: int
) -> None:
    running = [_send(platform, "sleeps", 4) for _ in range(6)]
    eventually_sync(lambda: _places(platform, "sleeps")["running"] >= 2, within=60)
    clock.jump(seconds)
    for name in ("node", "node-2"):
        os.kill(platform.processes()[name], signal.SIGKILL)
    eventually_sync(lambda: _places(platform, "sleeps")["done"] == len(running), within=60)
    assert [platform.record(each)["status"] for each in running] == ["ok"] * len(running)
    eventually_sync(platform.conserved, within=60)


def test_a_due_time_fires_once_whichever_way_the_clock_goes_and_keys_give_the_same_answers(
    platform: platforms.Platform, clock: clocks.Clock
) -> None:
    began = time.monotonic()
    first = _keyed(platform)
    for seconds in (HOUR_S, -HOUR_S, HOUR_S):
        before = len(_ticks(platform))
        eventually_sync(lambda seen=before: len(_ticks(platform)) > seen, within=60)
        clock.jump(seconds)
        assert _keyed(platform) == first
        if seconds < 0:
            seen = _ticks(platform)
            assert len(seen) == len(set(seen))
            clock.jump(HOUR_S)  # until then the timer is silent: these due times have fired
    ticks = _ticks(platform)
    assert len(ticks) == len(set(ticks)) <= (time.monotonic() - began) / 2 + 6, (
        "what was jumped over is not made up for"
    )


def _keyed(platform: platforms.Platform) -> tuple[str, bytes]:
    answer = platform.call("/keyed", b"1", headers={"Idempotency-Key": "k"})
    assert answer.status == 200
    return answer.headers["faas-invocation-id"], answer.body


def _ticks(platform: platforms.Platform) -> list[str]:
    lines = platform.json("logs", "ticks", "--since", "1970-01-01T00:00:00Z")
    return [line["text"] for line in lines if line["text"].startswith("due ")]


def _send(platform: platforms.Platform, function: str, event: object, *options: str) -> str:
    done = platform.faas("invoke", function, "--async", "--data", json.dumps(event), *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _places(platform: platforms.Platform, function: str) -> dict[str, int]:
    found: dict[str, int] = platform.json("status")["functions"][function]
    return found
