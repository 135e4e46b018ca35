"""The examples, each deployed into real containers and used as its README says. (`photos` is what the demo runs.)"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import running
from tests.eventually import eventually_sync

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Platform]:
    with running.platform(tmp_path_factory.mktemp("platform")) as started:
        yield started


def test_hello_greets_over_http_and_by_name(platform: running.Platform) -> None:
    platform.faas("deploy", str(EXAMPLES / "hello"))
    assert json.loads(request("GET", f"{platform.gateway}/hello/Ada")[1])["message"] == "Hello, Ada!"
    called = platform.json("invoke", "hello", "--data", '{"pathParameters": {"name": "Ada"}}')
    assert called["result"]["message"] == "Hello, Ada!"
    eventually_sync(lambda: len(platform.json("records", "hello")) == 2)


def test_digest_writes_the_day_of_the_due_time_into_its_bucket(platform: running.Platform) -> None:
    platform.faas("deploy", str(EXAMPLES / "digest"))
    platform.faas("cp", str(EXAMPLES / "digest" / "README.md"), "inbox:docs/")
    summary = platform.json("invoke", "digest")["result"]
    assert (summary["count"], summary["newest"]["key"]) == (1, "docs/README.md")
    assert json.loads(platform.faas("cp", f"summaries:{summary['day']}.json", "-")) == summary
    assert platform.json("describe", "digest")["config"]["triggers"][0]["cron"] == "0 0 * * *"


def test_notes_are_kept_in_the_bucket_whatever_sandbox_answers(platform: running.Platform) -> None:
    platform.faas("deploy", str(EXAMPLES / "notes"))
    assert request("GET", f"{platform.gateway}/notes")[1].startswith("<!doctype html>")
    status, note = request("POST", f"{platform.gateway}/notes/items", {"text": "buy milk"})
    assert status == 201
    assert json.loads(platform.faas("cp", f"notes:{json.loads(note)['id']}.json", "-"))["text"] == "buy milk"
    assert request("DELETE", f"{platform.gateway}/notes/items/{json.loads(note)['id']}")[0] == 204
    assert request("GET", f"{platform.gateway}/notes/items") == (200, "[]")


def request(method: str, url: str, body: Any = None) -> tuple[int, str]:
    """Status and text of an answer, whatever the status."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
