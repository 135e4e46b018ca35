"""One platform and one Chromium for each module of tests, and a page of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import sync_api

from tests import browser as browsers
from tests import platform as platforms


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    """A platform without containers: the page does not care what contains functions."""
    data = tmp_path_factory.mktemp("platform")
    # Whoever is nobody must get to the code: functions are users of their own where root runs the platform.
    for folder in (data, *data.parents[:2]):
        folder.chmod(0o755)
    with platforms.running(data / "data", "--engine", "process", "--api-port", "0") as started:
        yield started


@pytest.fixture(scope="module")
def chromium() -> Iterator[sync_api.Browser]:
    """The browser."""
    with browsers.chromium() as started:
        yield started


@pytest.fixture
def seen(chromium: sync_api.Browser, platform: platforms.Platform) -> Iterator[browsers.Seen]:
    """A page of somebody who is logged in."""
    with browsers.looking(chromium, platform) as page:
        yield page


@pytest.fixture
def stranger(chromium: sync_api.Browser, platform: platforms.Platform) -> Iterator[browsers.Seen]:
    """A page of somebody who is not."""
    with browsers.looking(chromium, platform, logged_in=False) as page:
        yield page


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder for a project."""
    return tmp_path / "project"
