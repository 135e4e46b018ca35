"""Every process of the platform is killed again and again, then `faas up` itself: all is done, once, and swept."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from faas.cli import platform_dir
from faas.core.processes import living
from runners.engines import folder
from runners.engines.docker import making
from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

CODE = """
import time

def handler(event, context):
    time.sleep(0.02)
    return context.invocation_id

def ticks(event, context):
    print("due", event["time"])
"""
PYTHON = {"runtime": "python3", "memory": "64MB"}
MANIFEST: dict[str, Any] = {
    "functions": {
        "f": {**PYTHON, "handler": "app.handler", "triggers": [{"http": {"path": "/f"}}]},
        "ticks": {**PYTHON, "handler": "app.ticks", "triggers": [{"timer": {"every": "1s", "on_missed": "all"}}]},
    }
}
QUICK = {"heartbeat_ms": "300", "lease_ms": "2000"}
ASYNC = {"Faas-Invocation-Type": "async"}
TIMES = 3


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    with platforms.running(tmp_path / "data", "--engine", "docker", **QUICK) as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        made.deploy(tmp_path / "project", MANIFEST)
        yield made


def test_processes_that_are_killed_again_and_again_lose_nothing_and_come_back_less_and_less_soon(
    platform: platforms.Platform,
) -> None:
    accepted: list[str] = []
    with _load(platform, accepted):
        for name in ("scheduler", "recorder", "api", "builder", "redis", "node"):
            for _ in range(TIMES):
                killed = platform.processes()[name]
                os.kill(killed, signal.SIGKILL)
                eventually_sync(lambda gone=killed, of=name: platform.processes()[of] not in (gone, None), within=60)
        count = len(accepted)
        eventually_sync(lambda: len(accepted) > count + 20, within=60)
    eventually_sync(lambda: platform.faas("doctor").returncode == 0, within=60)
    eventually_sync(platform.conserved, within=120)
    assert [platform.record(each)["status"] for each in accepted] == ["ok"] * len(accepted)
    ticks = [line["text"] for line in platform.json("logs", "ticks", "--since", "1h")]
    assert len(ticks) == len(set(ticks)), "no due time fired twice"
    told = [line["fields"] for line in platform.json("logs", "--platform", "--process", "up", "-n", "all")]
    waits = [fields["starts_again_in_s"] for fields in told if fields.get("kept") == "scheduler"]
    assert waits == [0.1 * 2**times for times in range(TIMES)]
    eventually_sync(lambda: len(_containers(platform)) == _sandboxes(platform), within=60)


def test_what_a_killed_supervisor_leaves_behind_goes_on_and_its_containers_are_swept(
    platform: platforms.Platform,
) -> None:
    accepted = [platform.call("/f", headers=ASYNC).json()["invocation_id"] for _ in range(100)]
    owner = platform_dir.running(platform.data)
    assert owner is not None
    pids = platform.processes().values()
    before = _containers(platform)
    os.kill(owner.pid, signal.SIGKILL)
    eventually_sync(lambda: all(living.started_at(pid) is None for pid in pids), within=20)
    platform.up("--engine", "docker")
    assert before
    eventually_sync(lambda: not before & _containers(platform), within=60)
    assert [platform.record(each)["status"] for each in accepted] == ["ok"] * len(accepted)
    eventually_sync(platform.conserved, within=60)


@contextlib.contextmanager
def _load(platform: platforms.Platform, accepted: list[str]) -> Iterator[None]:
    """Async calls, one after the other, for the length of the block."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.05):  # the pace of the load
            with contextlib.suppress(urllib.error.URLError, ConnectionError):  # nobody listens: nothing was accepted
                got = platform.call("/f", headers=ASYNC)
                if got.status == 202:
                    accepted.append(got.json()["invocation_id"])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def _containers(platform: platforms.Platform) -> set[str]:
    with closing(docker.from_env()) as client:
        identity = folder.identity(platform.data / "sandboxes")
        label = f"{making.LABEL_DATA_DIR}={identity}"
        return {one.id for one in client.containers.list(all=True, sparse=True, filters={"label": label})}


def _sandboxes(platform: platforms.Platform) -> int:
    return sum(sum(node["sandboxes"].values()) for node in platform.json("status")["nodes"])
