"""Callers who leave: at any point of their request they hang up, and nothing of them is left."""

from __future__ import annotations

import os
import random
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

CODE = """
import time

def handler(event, context):
    time.sleep(0.05)
    return "x" * 100_000
"""
MANIFEST: dict[str, Any] = {
    "functions": {
        "slow": {
            "runtime": "python3",
            "handler": "app.handler",
            "max_concurrency": 3,
            "triggers": [{"http": {"path": "/slow", "methods": ["POST"]}}],
        }
    }
}
CALLERS = 500
BODY = b"y" * 2_000
REQUEST = b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    with platforms.running(tmp_path / "data", engine="process") as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        made.deploy(tmp_path / "project", MANIFEST)
        yield made


def test_callers_who_leave_at_any_point_leave_nothing_behind(platform: platforms.Platform) -> None:
    chance = random.Random(7)
    assert platform.call("/slow", BODY).status == 200
    before = _descriptors(platform)
    for _ in range(CALLERS // 50):
        callers = [_connected(platform) for _ in range(50)]
        for caller in callers:
            # Some break off within the request, some send it whole, some read a part of the answer.
            caller.sendall(REQUEST[: chance.choice([chance.randrange(1, len(REQUEST)), len(REQUEST)])])
        for caller in callers:
            if chance.random() < 0.1:
                caller.settimeout(0.1)
                _read_some(caller)
            caller.close()
    eventually_sync(platform.conserved, within=60)
    eventually_sync(lambda: _descriptors(platform) <= before + 5, within=60)
    assert platform.call("/slow", BODY).status == 200
    assert platform.faas("doctor").returncode == 0


def _connected(platform: platforms.Platform) -> socket.socket:
    gateway = urllib.parse.urlsplit(platform.facts["gateway"])
    return socket.create_connection((gateway.hostname, gateway.port), timeout=30)


def _read_some(caller: socket.socket) -> None:
    try:
        caller.recv(1_000)
    except TimeoutError:
        return  # it leaves before its answer


def _descriptors(platform: platforms.Platform) -> int:
    return len(os.listdir(f"/proc/{platform.processes()['node']}/fd"))
