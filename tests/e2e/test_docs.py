"""What the README, the tutorial and two how-tos tell people to type, typed: it runs as it stands, in containers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faas.delivery import webhooks
from tests import platform as platforms
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_HERE = re.compile(r"^(make|export|faas (up|down)).*\n", re.MULTILINE)
"""What the fixture has done already, or does at the end."""

pytestmark = pytest.mark.docker


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[platforms.Platform]:
    with platforms.running(tmp_path / "data", engine="docker", **platforms.PATIENT) as started:
        yield started


def test_the_first_function_of_the_readme(platform: platforms.Platform, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition("## First function in one minute")[2]
    script = shell(section.partition("\n## ")[0], platform).replace("/tmp/hello", str(tmp_path / "hello"))
    printed = platform.shell(script, tmp_path)
    assert printed.count("Hello, Ada!") == 2
    assert printed.count("greeting Ada") >= 1
    assert "USD" in printed


def test_the_tutorial(platform: platforms.Platform, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial" / "thumbnails.md").read_text()
    first, _, rest = page.partition("## 5. ")
    home = tmp_path / "home"
    folder = home / "thumbnails"
    for name, content in files(first).items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    before = f"HOME={home}; ORIGINALS={ROOT / 'examples' / 'photos' / 'originals'}; cd {folder}\n"
    script = shell(first, platform).replace("mkdir ~/thumbnails && cd ~/thumbnails\n", "")
    head, copy, tail = script.partition("faas logs thumbnail\n")
    platform.shell(before + head, tmp_path)
    eventually_sync(lambda: len(platform.json("records", "thumbnail")) == 1, within=60)
    assert "rocket.jpg: 320 x 214" in platform.shell(before + copy + tail, tmp_path)
    assert (folder / "rocket.jpg.webp").read_bytes()[8:12] == b"WEBP"
    (folder / "faas.yaml").write_text(files(first)["faas.yaml"].replace('"320"', '"640"'))  # as step 7 says
    platform.shell(before + shell(rest, platform), tmp_path)
    eventually_sync(lambda: len(platform.json("records", "thumbnail")) == 10, within=60)
    assert [each["status"] for each in platform.json("records", "thumbnail")].count(
        "error"
    ) == 3  # it is tried twice more
    assert len(platform.json("describe", "thumbnail")["revisions"]) == 2


def test_calling_without_waiting(platform: platforms.Platform, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "async.md").read_text()
    folder = written(page, tmp_path)
    before, _, after = page.partition("## Dead letters")
    platform.shell(f"cd {folder}\n" + shell(before, platform), tmp_path)
    eventually_sync(lambda: len(platform.json("records", "ship", "--status", "ok")) == 2, within=60)
    platform.shell(f"cd {folder}\n" + shell(after, platform), tmp_path)
    letters = eventually_sync(lambda: letters_of(platform, 2), within=60)
    assert {(each["error"]["type"], each["attempts"]) for each in letters} == {("DoNotRetry", 1), ("ValueError", 2)}


def letters_of(platform: platforms.Platform, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = platform.json("dlq", "ls", "--function", "ship")
    return found if len(found) == count else []


def test_sending_results_and_failures_somewhere(platform: platforms.Platform, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "destinations.md").read_text()
    folder = written(page, tmp_path)
    first, _, rest = page.partition("## A URL")
    platform.shell(f"cd {folder}\n" + shell(first, platform), tmp_path)
    (thanked,) = eventually_sync(lambda: platform.json("records", "thank"), within=60)
    (shipped,) = platform.json("records", "ship", "--status", "ok")
    assert (thanked["parent_id"], thanked["depth"], thanked["status"]) == (shipped["invocation_id"], 1, "ok")
    assert "thanks for order 1" in platform.faas("logs", "thank").stdout
    (failed,) = platform.json("records", "ship", "--status", "error")
    key = f"failed:orders/ship/{failed['invocation_id']}.json"
    copied = eventually_sync(lambda: platform.faas("cp", key, "-").stdout, within=60)
    record = json.loads(copied)
    assert record["responsePayload"]["errorMessage"] == "there is no such order"
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    platform.shell(f"cd {folder}\n" + shell(rest, platform), tmp_path)


def test_the_check_of_signatures_that_the_page_shows() -> None:
    page = (ROOT / "docs" / "how-to" / "destinations.md").read_text()
    (code,) = [content for _, content in _FENCE.findall(page) if "def is_genuine" in content]
    shown: dict[str, Any] = {}
    exec(code, shown)
    now_s = int(time.time())
    signed = webhooks.signature("secret", now_s, b"{}")
    assert shown["is_genuine"](signed, b"{}", "secret")
    assert not shown["is_genuine"](signed, b"[]", "secret")
    assert not shown["is_genuine"](webhooks.signature("secret", now_s - 301, b"{}"), b"{}", "secret")


def written(page: str, tmp_path: Path) -> Path:
    """A folder with the files of a page."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in files(page).items():
        (folder / name).write_text(content)
    return folder


def shell(text: str, platform: platforms.Platform) -> str:
    """The shell blocks of a page, for this platform."""
    script = "".join(content for language, content in _FENCE.findall(text) if language == "sh")
    return _NOT_HERE.sub("", script).replace("http://127.0.0.1:8080", platform.facts["gateway"])


def files(text: str) -> dict[str, str]:
    """The files that a page tells to write: each block that follows their name."""
    return dict(re.findall(r"^`([\w.]+)`[^`]*\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
