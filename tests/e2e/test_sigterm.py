"""SIGTERM to one process of the tree while work comes: what was accepted is done, once."""

from __future__ import annotations

import os
import signal
import threading
import urllib.error
from pathlib import Path

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

CODE = """import time
def handler(event, context):
    time.sleep(0.01)
    return 1
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


@pytest.mark.parametrize("name", ["node", "scheduler", "recorder", "api", "builder"])
def test_a_process_that_is_told_to_end_under_load_loses_nothing(name: str, tmp_path: Path) -> None:
    with platforms.running(tmp_path / "data", engine="process") as platform:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "app.py").write_text(CODE)
        platform.deploy(folder, MANIFEST)
        accepted: list[str] = []
        stop = threading.Event()

        def send() -> None:
            while not stop.wait(0.03):  # the pace of the load
                try:
                    got = platform.call("/f", headers={"Faas-Invocation-Type": "async"})
                except (urllib.error.URLError, ConnectionError):
                    continue  # nobody listens for a moment: nothing was accepted
                if got.status == 202:
                    accepted.append(got.json()["invocation_id"])

        senders = [threading.Thread(target=send) for _ in range(2)]
        for sender in senders:
            sender.start()
        try:
            eventually_sync(lambda: len(accepted) > 20, within=60)
            before = platform.processes()[name]
            os.kill(before, signal.SIGTERM)
            eventually_sync(lambda: platform.processes()[name] not in (before, None), within=60)
            count = len(accepted)
            eventually_sync(lambda: len(accepted) > count + 20, within=60)
        finally:
            stop.set()
            for sender in senders:
                sender.join()
        eventually_sync(platform.conserved, within=120)
        for invocation_id in accepted:
            assert platform.record(invocation_id)["status"] == "ok"
