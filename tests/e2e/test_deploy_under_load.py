"""`faas deploy` while calls come: every call is answered, by one revision."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms

DEPLOYS = 5
CODE = """import time
LOADED = {number}
def handler(event, context):
    before = LOADED
    time.sleep(0.005)
    return {{"revision": [before, {number}], "version": context.function_version}}
"""
MANIFEST = {
    "functions": {
        "f": {
            "runtime": "python3",
            "handler": "app.handler",
            "triggers": [{"http": {"path": "/f", "methods": ["GET"]}}],
        }
    }
}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    with platforms.running(tmp_path / "data", engine="process", stock_none="1") as running:
        yield running


def _deploy(platform: platforms.Platform, folder: Path, number: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(CODE.format(number=number))
    platform.deploy(folder, MANIFEST)


def test_no_call_fails_and_none_is_of_two_revisions(platform: platforms.Platform, tmp_path: Path) -> None:
    _deploy(platform, tmp_path / "project", 1)
    stop = threading.Event()
    answers: list[tuple[int, Any]] = []

    def call() -> None:
        while not stop.is_set():
            got = platform.call("/f")
            answers.append((got.status, got.json()))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for number in range(2, 2 + DEPLOYS):
            _deploy(platform, tmp_path / "project", number)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert {status for status, _ in answers} == {200}, [one for one in answers if one[0] != 200][:3]
    assert all(body["revision"] == [int(body["version"])] * 2 for _, body in answers), answers[-1]
    assert len({body["version"] for _, body in answers}) >= DEPLOYS, "hardly any deploy was met"
