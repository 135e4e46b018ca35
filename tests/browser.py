"""A real Chromium on a real platform: what tests of the page look through.

`Seen` is a page that remembers what its console said: whatever a test does not expect fails it at the end. Pictures go
to ``build/web/``, which is not committed: look at them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api

from tests import patience
from tests import platform as platforms

PICTURES = Path(__file__).parents[1] / "build" / "web"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE = sync_api.ViewportSize(width=1280, height=800)
NARROW = sync_api.ViewportSize(width=360, height=740)
_WITHIN_MS = 10_000


class Seen:
    """One page, and what its console said that is not welcome."""

    def __init__(self, page: sync_api.Page, platform: platforms.Platform) -> None:
        self.page = page
        self.platform = platform
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def _hear(self, message: sync_api.ConsoleMessage) -> None:
        url = message.location.get("url", "")
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({url})")

    def open(self, path: str) -> None:
        """Go to an address of the page, and wait until it shows something of its own."""
        self.page.goto(self.platform.facts["api"] + path)
        self.page.locator("main h1, main form").first.wait_for()

    def expect(self, pattern: str) -> None:
        """Take what the console said of this as welcome. Fails when it said nothing of it."""
        fitting = [each for each in self.complaints if re.search(pattern, each)]
        assert fitting, f"nobody said {pattern!r}: {self.complaints}"
        self.complaints = [each for each in self.complaints if each not in fitting]

    def picture(self, name: str) -> Path:
        """Keep what it looks like, the whole page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, animations="disabled")
        return path


@contextlib.contextmanager
def chromium() -> Iterator[sync_api.Browser]:
    """The browser of this machine. A test fails where there is none: the page is part of the platform."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail("no Chromium: `make setup` installs it (Debian, Ubuntu: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        # It runs as root in tests, where its own sandbox cannot; what it opens is ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextlib.contextmanager
def looking(
    browser: sync_api.Browser, platform: platforms.Platform, *, logged_in: bool = True, **options: Any
) -> Iterator[Seen]:
    """A page of somebody who has seen nothing of this platform before. ``options`` are those of a browser's context.

    Fails at the end for what its console said and the test did not expect: errors, and breaches of the page's policy.
    """
    context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", "timezone_id": "UTC", **options})
    context.set_default_timeout(_WITHIN_MS * patience.FACTOR)
    try:
        if logged_in:
            log_in(context, platform)
        seen = Seen(context.new_page(), platform)
        yield seen
        assert not seen.complaints, "\n".join(seen.complaints)
    finally:
        context.close()


def log_in(context: sync_api.BrowserContext, platform: platforms.Platform) -> None:
    """Give a browser a session, without the form."""
    token = Path(platform.facts["token_file"]).read_text().strip()
    api = platform.facts["api"]
    answer = context.request.post(f"{api}/api/v1/login", data={"token": token}, headers={"Origin": api})
    assert answer.status == 200, answer.text()
