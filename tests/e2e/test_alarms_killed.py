"""An alarm of a real platform whose processes are killed while it comes to fire: told once, and not lost."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from http import server
from pathlib import Path
from typing import Any

import pytest

from tests import platform, receiver
from tests.eventually import eventually_sync

HANDLER = "def handler(event, context):\n    raise ValueError('no such order')\n"


class _Hook(server.BaseHTTPRequestHandler):
    """Keeps what arrives by its id, as receivers are told to."""

    received: dict[str, Any]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert receiver.is_genuine(self.headers["Faas-Signature"], body, receiver.SECRET)
        self.received[self.headers["Faas-Delivery-Id"]] = json.loads(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[tuple[str, dict[str, Any]]]:
    """The URL of a receiver, and what it got."""
    received: dict[str, Any] = {}
    kind = type("Hook", (_Hook,), {"received": received})
    with server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/hook", received
        listening.shutdown()
        thread.join()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[platform.Platform]:
    with platform.running(
        tmp_path / "data", engine="process", alarm_interval_s="1", destination_secret=receiver.SECRET
    ) as up:
        yield up


@pytest.fixture
def another(running: platform.Platform) -> Iterator[None]:
    """A second scheduler of the platform, as on another machine."""
    with running.begin("scheduler") as process:
        yield
        process.terminate()


def kill(up: platform.Platform, name: str) -> None:
    """Kill a process of the platform as nobody can prepare for; `faas up` starts it again."""
    before = up.processes()[name]
    os.kill(before, signal.SIGKILL)
    eventually_sync(lambda: up.processes()[name] not in (None, before), within=60)


def test_an_alarm_that_fires_while_processes_are_killed_is_told_once(
    running: platform.Platform, another: None, hook: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    url, received = hook
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text(HANDLER)
    alarm = {"rule": "errors > 5 over 1h for 4s hold 1h", "notify": {"url": url}}
    function = {"runtime": "python3", "handler": "app.handler", "alarms": {"errors": alarm}}
    running.deploy(project, {"functions": {"ship": function}})
    for _ in range(10):
        running.faas("invoke", "ship")

    def state() -> str:
        return str(running.json("alarms", "show", "ship.errors")["standings"][0]["state"])

    eventually_sync(lambda: state() in ("pending", "firing"), within=60)
    for name in ("scheduler", "recorder", "api", "scheduler"):
        kill(running, name)
    eventually_sync(lambda: received, within=60)
    kill(running, "scheduler")
    eventually_sync(lambda: state() == "firing", within=60)
    before = looked_at_ms(running)
    eventually_sync(lambda: looked_at_ms(running) >= before + 2_000, within=60)
    assert [each["kind"] for each in received.values()] == ["firing"]
    became = [each["became"] for each in running.json("alarms", "history", "ship.errors")]
    assert became[0] == "firing"
    assert became.count("firing") == 1


def looked_at_ms(up: platform.Platform) -> int:
    """When alarms were last looked at."""
    return int(up.api("/api/v1/alarms").json()["looked_at_ms"])
