"""Uploads through the whole platform, in real containers: in by command, through a function, and out again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

FUNCTIONS = Path(__file__).parent.parent / "functions"


def _function(handler: str, buckets: dict[str, str], upload: dict[str, Any]) -> dict[str, Any]:
    return {
        "runtime": "python3",
        "source": "uploads",
        "handler": handler,
        "memory": "64MB",
        "timeout": "20s",
        "buckets": buckets,
        "triggers": [{"upload": upload}],
    }


MANIFEST = {
    "buckets": {"photos": {}, "thumbs": {}, "loop": {}},
    "functions": {
        "copies": _function(
            "app.copies",
            {"photos": "read", "thumbs": "write"},
            {"bucket": "photos", "prefix": "in/", "suffix": [".txt"]},
        ),
        "feeds-itself": _function("app.feeds_itself", {"loop": "write"}, {"bucket": "loop"}),
    },
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    """One platform with one deployment for all tests of this module."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(FUNCTIONS / "uploads", project / "uploads")
    with platforms.running(tmp_path_factory.mktemp("data"), "--engine", "docker") as made:
        made.deploy(project, MANIFEST)
        yield made
        eventually_sync(made.conserved, within=60)


@pytest.mark.parametrize("name", ["plain.txt", "a b+c 100%.txt", "ünï/日本 語.txt", "deep/er/and/deeper/x.txt"])
def test_an_object_that_is_copied_in_comes_out_of_the_function_that_it_triggers(
    platform: platforms.Platform, name: str
) -> None:
    done = platform.faas("cp", "-", f"photos:in/{name}", stdin=b"content")
    assert done.returncode == 0, done.stderr
    got = eventually_sync(lambda: _got(platform, f"thumbs:in/{name}"), within=60)
    assert got == "CONTENT"


def _got(platform: platforms.Platform, source: str) -> str | None:
    done = platform.faas("cp", source, "-")
    return done.stdout if done.returncode == 0 else None


def test_a_function_that_feeds_its_own_trigger_stops_with_a_record_and_an_alert(
    platform: platforms.Platform,
) -> None:
    done = platform.faas("cp", "-", "loop:k", stdin=b"")
    assert done.returncode == 0, done.stderr
    (refused,) = eventually_sync(lambda: _records(platform, "rejected"), within=120)
    assert (refused["error"]["type"], refused["depth"], refused["billed_ms"]) == ("Platform.ChainTooDeep", 17, 0)
    assert "chain_stopped" in platform.logs()
    ran = eventually_sync(lambda: _all_of(_records(platform, "ok"), 17), within=60)
    assert sorted(record["depth"] for record in ran) == list(range(17))
    counts = platform.json("status")["functions"]["feeds-itself"]
    assert (counts["accepted"], counts["done"], counts["dead"], counts["drift"]) == (18, 17, 1, 0)


def _records(platform: platforms.Platform, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = platform.api(
        f"/api/v1/invocations?function=feeds-itself&status={status}&limit=100"
    ).json()["records"]
    return found


def _all_of(records: list[dict[str, Any]], number: int) -> list[dict[str, Any]] | None:
    return records if len(records) == number else None
