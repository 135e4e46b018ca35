"""The examples, each deployed into real containers and used as its README says. (`photos` is what the demo runs.)"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

EXAMPLES = Path(__file__).parents[2] / "examples"
JSON = {"content-type": "application/json"}

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    data = tmp_path_factory.mktemp("platform")
    with platforms.running(data, engine="docker", **platforms.PATIENT) as started:
        yield started


def test_hello_greets_over_http_and_by_name(platform: platforms.Platform) -> None:
    platform.json("deploy", str(EXAMPLES / "hello"))
    assert platform.call("/hello/Ada").json()["message"] == "Hello, Ada!"
    called = platform.json("invoke", "hello", "--data", '{"pathParameters": {"name": "Ada"}}')
    assert called["result"]["message"] == "Hello, Ada!"
    eventually_sync(lambda: len(platform.json("records", "hello")) == 2, within=60)


def test_digest_writes_the_day_of_the_due_time_into_its_bucket(platform: platforms.Platform) -> None:
    platform.json("deploy", str(EXAMPLES / "digest"))
    platform.json("cp", str(EXAMPLES / "digest" / "README.md"), "inbox:docs/")
    summary = platform.json("invoke", "digest")["result"]
    assert (summary["count"], summary["newest"]["key"]) == (1, "docs/README.md")
    assert json.loads(platform.faas("cp", f"summaries:{summary['day']}.json", "-").stdout) == summary
    assert platform.json("describe", "digest")["config"]["triggers"][0]["cron"] == "0 0 * * *"


def test_notes_are_kept_in_the_bucket_whatever_sandbox_answers(platform: platforms.Platform) -> None:
    platform.json("deploy", str(EXAMPLES / "notes"))
    assert platform.call("/notes").body.startswith(b"<!doctype html>")
    added = platform.call("/notes/items", b'{"text": "buy milk"}', "POST", JSON)
    assert added.status == 201
    note = added.json()["id"]
    assert json.loads(platform.faas("cp", f"notes:{note}.json", "-").stdout)["text"] == "buy milk"
    assert platform.call(f"/notes/items/{note}", method="DELETE").status == 204
    assert platform.call("/notes/items").json() == []
