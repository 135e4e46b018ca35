"""Retries, idempotency keys, delays and dead letters on the whole platform, in containers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

FUNCTIONS = Path(__file__).parents[1] / "functions"
ASYNC = {"Faas-Invocation-Type": "async"}


def _function(handler: str, path: str) -> dict[str, Any]:
    return {
        "runtime": "python3", "handler": handler, "source": ".", "max_concurrency": 1, "memory": "64MB",
        "retries": {"backoff": "100ms"}, "triggers": [{"http": {"path": path, "max_delay": "1h"}}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(FUNCTIONS / "async_calls", project, dirs_exist_ok=True)
    functions = {"second": _function("app.second_time", "/second"), "never": _function("app.never", "/never")}
    with platforms.running(tmp_path_factory.mktemp("data"), "--engine", "docker") as made:
        made.deploy(project, {"functions": functions})
        yield made
        eventually_sync(made.conserved, within=60)


def settled(platform: platforms.Platform, name: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        state: dict[str, Any] = platform.api(f"/api/v1/invocations/{name}").json()
        return state if state["settled"] else None

    return eventually_sync(found, within=60) or {}


def test_a_failed_attempt_is_followed_by_another_and_its_result_is_there_for_who_asks(
    platform: platforms.Platform,
) -> None:
    answer = platform.call("/second", b"{}", headers=ASYNC).json()
    state = settled(platform, answer["invocation_id"])
    assert (state["status"], state["attempts"], state["result"]) == ("done", 2, {"body": "2"})
    eventually_sync(lambda: len(platform.api(answer["status_url"]).json()["records"]) == 2, within=60)
    # The list is of what waits and of what is in the ledger, where the last attempt is a moment later.
    (line,) = eventually_sync(
        lambda: platform.json("invocations", "ls", "--function", "second", "--limit", "1"), within=60
    )
    assert (line["invocation_id"], line["status"], line["attempts"]) == (answer["invocation_id"], "done", 2)


def test_a_key_gives_one_answer(platform: platforms.Platform) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first, again = (platform.call("/second", b"1", headers=headers) for _ in range(2))
    assert first.status == again.status == 502, "sync calls are not tried again"
    assert first.headers["faas-invocation-id"] == again.headers["faas-invocation-id"]
    assert platform.call("/second", b"2", headers=headers).status == 422


def test_a_delayed_call_runs_when_it_is_due(platform: platforms.Platform) -> None:
    answer = platform.call("/never", b"{}", headers={"Faas-Delay": "2s"}).json()
    assert platform.api(answer["status_url"]).json()["due_at_ms"] > 0
    state = settled(platform, answer["invocation_id"])
    assert state["records"][0]["started_at_ms"] - state["records"][0]["accepted_at_ms"] >= 1_900


def test_a_dead_letter_is_sent_again_once(platform: platforms.Platform) -> None:
    name = platform.call("/never", b'{"order": 7}', headers=ASYNC).json()["invocation_id"]
    assert settled(platform, name)["status"] == "dead"
    eventually_sync(lambda: platform.faas("dlq", "show", name).returncode == 0, within=60)
    letter = json.loads(platform.faas("dlq", "show", name, "--json").stdout)
    assert (json.loads(letter["event"]["body"]), letter["error"]["type"]) == ({"order": 7}, "DoNotRetry")
    (first,), (again,) = (platform.json("dlq", "retry", name) for _ in range(2))
    assert first == again
    assert settled(platform, first["retried_as"])["status"] == "dead"
