"""A disk that is full under one part of the platform: that is said, nothing accepted is lost, and room mends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms
from tests import small_disk
from tests.eventually import eventually_sync

CODE = """
def handler(event, context):
    return context.invocation_id

def writes(event, context):
    with context.bucket("box").open("big.bin", "wb") as file:
        file.write(b"z" * event)
"""
PYTHON = {"runtime": "python3", "memory": "64MB"}
MANIFEST: dict[str, Any] = {
    "functions": {
        "f": {**PYTHON, "handler": "app.handler", "triggers": [{"http": {"path": "/f", "methods": ["POST"]}}]},
    }
}
ASYNC = {"Faas-Invocation-Type": "async"}
MB = 1 << 20


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "app.py").write_text(CODE)
    return tmp_path / "project"


def test_a_full_disk_under_redis_refuses_calls_and_loses_none_that_was_accepted(tmp_path: Path, project: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with (
        small_disk.mounted(tmp_path / "data" / "redis", 40) as disk,
        platforms.running(tmp_path / "data", engine="process") as platform,
    ):
        platform.deploy(project, MANIFEST)
        answers = [platform.call("/f", b"1" * 1_000, headers=ASYNC) for _ in range(50)]
        with small_disk.filled(disk):
            refused = eventually_sync(lambda: _refused(platform, answers), within=60)
            assert refused.json()["error"]["code"] == "unavailable"
            assert refused.headers["retry-after"]
            assert platform.faas("doctor").returncode != 0
        eventually_sync(lambda: platform.call("/f", b"1").status == 200, within=60)
        eventually_sync(platform.conserved, within=60)
        kept = [answer.json()["invocation_id"] for answer in answers if answer.status == 202]
        assert [platform.record(each)["status"] for each in kept] == ["ok"] * len(kept)


def test_a_process_that_dies_while_the_disk_is_full_is_started_again_and_so_it_is_the_next_time(
    tmp_path: Path, project: Path
) -> None:
    with (
        small_disk.mounted(tmp_path / "disk", 48) as disk,
        platforms.running(disk / "data", engine="process") as platform,
    ):
        platform.deploy(project, MANIFEST)
        with small_disk.filled(disk):
            died = _kill(platform)
            for _ in range(5):  # it is there, and was to be written down
                eventually_sync(lambda: _answers(platform), within=60)
        eventually_sync(lambda: platform.processes()["api"] not in (died, None), within=60)
        died = _kill(platform)
        eventually_sync(lambda: platform.processes()["api"] not in (died, None), within=60)
        eventually_sync(lambda: platform.call("/f", b"1").status == 200, within=60)
        assert platform.faas("down").returncode == 0
        assert "unexpected" not in platform.logs()


def _answers(platform: platforms.Platform) -> bool:
    """Whether the control API does; it refuses connections while it is started again."""
    with contextlib.suppress(OSError):
        return platform.api("/api/v1/functions").status == 200
    return False


def _kill(platform: platforms.Platform) -> int:
    killed = platform.processes()["api"]
    os.kill(killed, signal.SIGKILL)
    return killed


def test_a_full_disk_under_a_bucket_is_the_callers_clear_error_and_leaves_no_half_object(
    tmp_path: Path, project: Path
) -> None:
    with (
        small_disk.mounted(tmp_path / "box", 2) as disk,
        platforms.running(tmp_path / "data", engine="process", bucket_roots=str(tmp_path)) as platform,
    ):
        writes = {**PYTHON, "handler": "app.writes", "buckets": {"box": "write"}}
        platform.deploy(project, {"buckets": {"box": {"path": str(disk)}}, "functions": {"writes": writes}})
        done = platform.faas("cp", "-", "box:copied.bin", stdin=b"x" * 3 * MB)
        assert done.returncode != 0
        assert "full" in done.stderr or "space" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        told = platform.faas("invoke", "writes", "--data", str(3 * MB), "--json")
        assert "No space left" in json.loads(told.stdout)["error"]["message"], told
        assert list(disk.iterdir()) == []
        assert platform.faas("invoke", "writes", "--data", "1000", "--json").returncode == 0
        assert [path.name for path in disk.iterdir()] == ["big.bin"]


def _refused(platform: platforms.Platform, answers: list[platforms.Answer]) -> platforms.Answer | None:
    """One more call, noted; it, when it was refused."""
    answers.append(platform.call("/f", b"1" * 100_000, headers=ASYNC))
    return answers[-1] if answers[-1].status == 503 else None
