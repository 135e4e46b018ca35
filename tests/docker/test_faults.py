"""What breaks while the platform runs in real containers: it says so, waits, goes on, and loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from runners.engines import folder
from runners.engines.docker import making
from tests import engine as engines
from tests import platform as platforms
from tests import small_disk
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

SLOW = Path(__file__).parent.parent / "functions" / "slow"
MANIFEST: dict[str, Any] = {
    "buckets": {"inbox": {}},
    "functions": {
        "slow": {
            "runtime": "python3",
            "handler": "app.handler",
            "memory": "64MB",
            "timeout": "30s",
            "triggers": [{"http": {"path": "/slow", "methods": ["PUT"]}}],
        },
        "waits": {
            "runtime": "python3",
            "handler": "waits.handler",
            "memory": "64MB",
            "timeout": "30s",
            "triggers": [{"http": {"path": "/waits/{seconds}"}}],
        },
    },
}
WAITS = """
import time

def handler(event, context):
    time.sleep(float(event["pathParameters"]["seconds"]))
    return "waited"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(SLOW, tmp_path / "project"))
    (folder / "waits.py").write_text(WAITS)
    return folder


@pytest.fixture
def platform(tmp_path: Path, project: Path) -> Iterator[platforms.Platform]:
    quick = {"heartbeat_ms": "200", "lease_ms": "2000", "grace_ms": "10000"}
    with platforms.running(tmp_path / "data", "--engine", "docker", **quick) as made:
        made.deploy(project, MANIFEST)
        yield made


def _invoke(platform: platforms.Platform, seconds: float) -> subprocess.CompletedProcess[str]:
    return platform.faas("invoke", "slow", "--data", json.dumps(seconds), "--json")


def _send(platform: platforms.Platform, seconds: float) -> str:
    done = platform.faas("invoke", "slow", "--async", "--data", json.dumps(seconds))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _places(platform: platforms.Platform) -> dict[str, int]:
    found: dict[str, int] = platform.json("status")["functions"]["slow"]
    return found


def test_a_killed_node_is_started_again_and_its_work_and_its_containers_are_taken_care_of(
    platform: platforms.Platform,
) -> None:
    ids = [_send(platform, 1) for _ in range(3)]
    eventually_sync(lambda: _places(platform)["running"] > 0, within=30)
    killed = platform.processes()["node"]
    os.kill(killed, signal.SIGKILL)
    eventually_sync(lambda: platform.processes()["node"] != killed, within=60)
    eventually_sync(lambda: _places(platform)["done"] == 3, within=90)
    assert [platform.record(each)["status"] for each in ids] == ["ok"] * 3
    assert platform.conserved()
    assert "node_taken_over" in platform.logs()
    eventually_sync(lambda: _containers(platform) == sum(_sandboxes(platform).values()), within=60)


def test_redis_that_is_killed_comes_back_and_what_was_accepted_is_still_there(platform: platforms.Platform) -> None:
    ids = [_send(platform, 0.2) for _ in range(5)]
    killed = platform.processes()["redis"]
    os.kill(killed, signal.SIGKILL)
    answer = eventually_sync(lambda: _unless_up(platform), within=30)
    if answer is not None and answer.status != 502:  # a slot that is free goes on answering
        assert (answer.status, answer.json()["error"]["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"]
    eventually_sync(lambda: platform.call("/fn/slow", b"0").status == 502, within=60)  # it reads an HTTP event
    eventually_sync(platform.conserved, within=60)
    assert [platform.record(each)["status"] for each in ids] == ["ok"] * 5


def test_down_lets_running_calls_end_keeps_what_waits_and_leaves_no_container(platform: platforms.Platform) -> None:
    answers: list[platforms.Answer] = []
    caller = threading.Thread(target=lambda: answers.append(platform.call("/waits/7")))
    caller.start()
    eventually_sync(lambda: platform.json("status")["functions"]["waits"]["running"] == 1, within=30)
    sent = [_send(platform, 0.5) for _ in range(5)]
    assert platform.faas("down").returncode == 0
    caller.join()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"waited")]
    assert _containers(platform) == 0
    platform.up("--engine", "docker")
    assert [platform.record(each)["status"] for each in sent] == ["ok"] * 5


def test_a_failed_deploy_leaves_the_old_revision_serving(platform: platforms.Platform, project: Path) -> None:
    (project / "app.py").write_text("def handler(event, context)\n    return 1\n")
    done = platform.faas("deploy", str(project))
    assert done.returncode == 7
    assert "SyntaxError" in done.stderr or "app.py" in done.stderr
    assert "Traceback (most recent call last)" not in done.stderr
    assert json.loads(_invoke(platform, 0).stdout)["status"] == "ok"
    (project / "app.py").write_text("import nothing_of_that_name\n")
    done = platform.faas("deploy", str(project))
    assert (done.returncode, "nothing_of_that_name" in done.stderr) == (7, True)
    assert json.loads(_invoke(platform, 0).stdout)["status"] == "ok"
    assert platform.json("ls")[0]["revision"] == 1


def test_a_full_disk_is_said_and_nothing_accepted_is_lost(tmp_path: Path, project: Path) -> None:
    with (
        small_disk.mounted(tmp_path / "disk", 48) as disk,
        platforms.running(disk / "data", "--engine", "docker") as platform,
    ):
        platform.deploy(project, MANIFEST)
        before = _send(platform, 0)
        with small_disk.filled(disk):
            (project / "more.bin").write_bytes(os.urandom(1 << 20))
            done = platform.faas("deploy", str(project))
            assert done.returncode != 0
            assert "Traceback" not in done.stderr
            assert "full" in done.stderr or "space" in done.stderr, done.stderr
        eventually_sync(lambda: _invoke(platform, 0).returncode == 0, within=60)
        assert platform.record(before)["status"] == "ok"
        eventually_sync(platform.conserved, within=60)


def test_an_engine_that_stops_is_waited_for_and_used_again(tmp_path: Path, project: Path) -> None:
    with engines.own() as engine:
        settings = {"base_image": engine.image, "heartbeat_ms": "200"}
        with platforms.running(
            tmp_path / "data", "--engine", "docker", docker_host=engine.host, **settings
        ) as platform:
            platform.deploy(project, MANIFEST)
            assert _invoke(platform, 0).returncode == 0
            engine.stop()
            sent = _send(platform, 0)
            eventually_sync(lambda: "no_sandbox_starts" in platform.logs(), within=60)
            assert _places(platform)["waiting"] == 1
            engine.start()
            assert platform.record(sent)["status"] == "ok"
            assert _invoke(platform, 0).returncode == 0


def test_an_engine_that_stops_and_starts_again_under_load_loses_nothing_and_leaves_nothing(
    tmp_path: Path, project: Path
) -> None:
    with engines.own() as engine:
        settings = {"base_image": engine.image, "heartbeat_ms": "200", "lease_ms": "2000", "stock_none": "2"}
        with platforms.running(
            tmp_path / "data", "--engine", "docker", docker_host=engine.host, **settings
        ) as platform:
            platform.deploy(project, MANIFEST)
            answers: list[platforms.Answer] = []
            # Longer than an engine gives its containers to stop.
            sent = [_send(platform, 25 if number == 0 else 0.3) for number in range(6)]
            callers = [_called(platform, seconds, answers) for seconds in (25, 25, 0.5)]
            eventually_sync(lambda: _in_use(platform) >= 3, within=60)
            engine.stop()
            sent.append(_send(platform, 0))
            engine.start()
            for caller in callers:
                caller.join()
            records = [platform.record(each) for each in sent]
            assert [record for record in records if record["status"] != "ok"] == []
            assert len(answers) == 3
            assert [answer for answer in answers if not _is_answer(answer)] == []
            assert platform.json("invoke", "slow", "--data", "0")["status"] == "ok"
            eventually_sync(platform.conserved, within=120)
            eventually_sync(lambda: _left(platform, engine.host) == sum(_sandboxes(platform).values()), within=60)
        assert _left(platform, engine.host) == 0


def _called(platform: platforms.Platform, seconds: float, answers: list[platforms.Answer]) -> threading.Thread:
    """A sync call under way."""
    caller = threading.Thread(target=lambda: answers.append(platform.call(f"/waits/{seconds}")))
    caller.start()
    return caller


def _in_use(platform: platforms.Platform) -> int:
    return sum(row["running"] for row in platform.json("status")["functions"].values())


def _is_answer(answer: platforms.Answer) -> bool:
    """Whether it is the result, or says that the platform is at fault, as the function is not."""
    if answer.status == 200:
        return answer.body == b"waited"
    return answer.headers.get("faas-error") == "platform"


def _left(platform: platforms.Platform, host: str) -> int:
    """How many containers or folders of sandboxes there are: whichever are more."""
    folders = [path for path in (platform.data / "sandboxes").iterdir() if path.is_dir() and "agent" not in path.name]
    return max(len(folders), _containers(platform, host))


def _unless_up(platform: platforms.Platform) -> platforms.Answer | None:
    return platform.call("/fn/slow", b"0")


def _sandboxes(platform: platforms.Platform) -> dict[str, int]:
    nodes = platform.json("status")["nodes"]
    return {state: count for node in nodes for state, count in node["sandboxes"].items()}


def _containers(platform: platforms.Platform, host: str | None = None) -> int:
    """How many containers of this platform there are, in any state; ``host`` is another engine than this machine's."""
    client = docker.DockerClient(host) if host else docker.from_env()
    try:
        identity = folder.identity(platform.data / "sandboxes")
        label = f"{making.LABEL_DATA_DIR}={identity}"
        return len(client.containers.list(all=True, sparse=True, filters={"label": label}))
    finally:
        client.close()
