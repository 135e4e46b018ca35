"""Backups of a platform that rests and of one under load, and the platforms that are made of them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests import platform as platforms
from tests.eventually import eventually_sync

CODE = """
import time

def quick(event, context):
    return context.invocation_id

def slow(event, context):
    time.sleep(0.5)
    return "slept"
"""
PYTHON = {"runtime": "python3", "memory": "64MB"}
MANIFEST: dict[str, Any] = {
    "functions": {
        "quick": {
            **PYTHON,
            "handler": "app.quick",
            "triggers": [{"http": {"path": "/q", "methods": ["POST"], "max_delay": "2h"}}],
        },
        "slow": {**PYTHON, "handler": "app.slow", "triggers": [{"http": {"path": "/s", "methods": ["POST"]}}]},
    }
}
ASYNC = {"Faas-Invocation-Type": "async"}


QUICK = {"heartbeat_ms": "250", "lease_ms": "3000"}
"""What ran when the backup was taken runs again when the lease of its node has lapsed."""


def test_platforms_that_are_made_of_backups_go_on_where_the_first_was(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "app.py").write_text(CODE)
    with running(tmp_path / "data") as first:
        first.deploy(tmp_path / "project", MANIFEST)
        resting = seen_at_rest(first, tmp_path / "resting.tar")
        with loaded(first) as answered:
            eventually_sync(lambda: len(answered) > 20, within=60)
            waiting = [first.call("/s", b"1", headers=ASYNC).json()["invocation_id"] for _ in range(8)]
            before = set(answered)
            assert first.json("backup", str(tmp_path / "moving.tar"))["left_out"] == ["buckets"]
        eventually_sync(first.conserved, within=60)
        first.json("restore", str(tmp_path / "resting.tar"), "--into", str(tmp_path / "rested"))
        first.json("restore", str(tmp_path / "moving.tar"), "--into", str(tmp_path / "moved"))
    with running(tmp_path / "rested") as second:
        assert resting.bill == second.json("bill")
        assert resting.places == second.json("status")["functions"]
        assert second.api(f"/api/v1/invocations/{resting.later}").json()["status"] == "scheduled"
        assert (tmp_path / "rested" / "token").read_text() == (tmp_path / "data" / "token").read_text()
    with running(tmp_path / "moved") as third:
        # What was accepted before the backup runs, if it had not; what had ended before is in the ledger.
        for each in waiting:
            assert third.record(each)["status"] == "ok"
        eventually_sync(third.conserved, within=60)
        for each in before:
            assert third.record(each)["status"] == "ok"
        places = third.json("status")["functions"]
        bill = {line["name"]: line["count"] for line in third.json("bill")["lines"]}
        # What ran when the backup was taken has a record that says so, beside that of the attempt that followed.
        assert all(bill[name] >= places[name]["done"] for name in ("quick", "slow"))
        assert places["slow"]["done"] == len(waiting) <= bill["slow"] <= 2 * len(waiting)
        assert third.call("/q", b"1").status == 200


class Rest(msgspec.Struct, frozen=True):
    """What a platform shows while nothing moves, and a call of it that is due in an hour."""

    bill: Any
    places: Any
    later: str


def seen_at_rest(platform: platforms.Platform, file: Path) -> Rest:
    """Let some calls end and one wait, look, and take a backup."""
    for _ in range(5):
        assert platform.call("/q", b"1").status == 200
    later = platform.call("/q", b"1", headers={**ASYNC, "Faas-Delay": "1h"}).json()["invocation_id"]
    eventually_sync(lambda: platform.json("bill")["total"]["count"] == 5, within=60)
    seen = Rest(platform.json("bill"), platform.json("status")["functions"], later)
    platform.json("backup", str(file))
    return seen


def running(data: Path) -> contextlib.AbstractContextManager[platforms.Platform]:
    """A platform whose nodes are soon known to be dead."""
    return platforms.running(data, engine="process", **QUICK)


@contextlib.contextmanager
def loaded(platform: platforms.Platform) -> Iterator[list[str]]:
    """Call a function without a pause from four threads; the ids of the calls that were answered."""
    stop, answered = threading.Event(), list[str]()

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                answer = platform.call("/q", b"1")
                if answer.status == 200:
                    answered.append(answer.headers["faas-invocation-id"])
            time.sleep(0.002)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()
