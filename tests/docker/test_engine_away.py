"""Docker goes away under a node that runs: who needs a new sandbox hears so soon, and does not wait in vain."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engine as engines
from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

CODE = "def handler(event, context):\n    return 'here'\n"
ASYNC = {"Faas-Invocation-Type": "async"}


def function(name: str) -> dict[str, object]:
    return {"runtime": "python3", "handler": "app.handler", "triggers": [{"http": {"path": f"/{name}"}}]}


MANIFEST = {"functions": {"warm": function("warm"), "cold": function("cold") | {"env": {"OTHER": "1"}}}}
TOLD = "no sandbox can be started: Docker does not answer"


@pytest.fixture
def engine() -> Iterator[engines.Engine]:
    with engines.own() as made:
        yield made


@pytest.fixture
def platform(engine: engines.Engine, tmp_path: Path) -> Iterator[platforms.Platform]:
    settings = {"base_image": engine.image, "heartbeat_ms": "200", "lease_ms": "2000", "keep_min_ms": "200",
                "keep_max_ms": "200", "stock_none": "0"}  # fmt: skip
    with platforms.running(tmp_path / "data", docker_host=engine.host, **settings) as made:
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "app.py").write_text(CODE)
        made.deploy(tmp_path / "project", MANIFEST)
        eventually_sync(lambda: not sum(made.json("status")["nodes"][0]["sandboxes"].values()), within=60)
        yield made


def test_calls_get_503_soon_while_docker_is_away_and_run_again_when_it_is_back(
    platform: platforms.Platform, engine: engines.Engine
) -> None:
    engine.stop()
    begun = time.monotonic()
    answers: list[platforms.Answer] = []
    callers = [threading.Thread(target=lambda: answers.append(platform.call("/cold"))) for _ in range(20)]
    for caller in callers:
        caller.start()
    accepted = platform.call("/cold", b"", headers=ASYNC)
    for caller in callers:
        caller.join()
    assert time.monotonic() - begun < 15
    assert {answer.status for answer in answers} == {503}
    for answer in answers:
        told = answer.json()["error"]
        assert TOLD in told["message"], told
        assert (told["code"], told["type"], told["hint"]) == ("unavailable", "Platform.NoSandbox", "see `faas doctor`")
        assert answer.headers["faas-error"] == "platform"
        assert answer.headers["retry-after"]
    begun = time.monotonic()
    keyed = platform.call("/cold", b"", headers={"Idempotency-Key": "again"})
    assert (keyed.status, time.monotonic() - begun < 2) == (503, True), "one that comes later need not wait at all"
    assert platform.call("/cold", b"", headers={"Idempotency-Key": "again"}).status == 503
    assert accepted.status == 202
    engine.start()
    assert platform.record(accepted.json()["invocation_id"])["status"] == "ok"
    eventually_sync(lambda: platform.call("/cold").status == 200, within=20)
    eventually_sync(lambda: platform.call("/cold", b"", headers={"Idempotency-Key": "again"}).status == 200, within=20)
    eventually_sync(platform.conserved, within=60)


def test_an_engine_that_stands_still_is_noticed_too(platform: platforms.Platform, engine: engines.Engine) -> None:
    assert engine._process is not None
    os.kill(engine._process.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        answer = platform.call("/cold")
        assert (answer.status, answer.json()["error"]["type"]) == (503, "Platform.NoSandbox")
        assert time.monotonic() - begun < 30
    finally:
        os.kill(engine._process.pid, signal.SIGCONT)
    eventually_sync(lambda: platform.call("/cold").status == 200, within=60)
    eventually_sync(platform.conserved, within=60)
