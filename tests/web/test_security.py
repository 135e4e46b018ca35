"""What others wrote runs nothing in the page, and pages of others get nothing by its session."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright import sync_api

from tests import browser as browsers
from tests import platform as platforms
from tests.browser import Seen
from tests.eventually import eventually_sync

EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
SOURCE = f"""
EVIL = {EVIL!r}

class Evil(Exception):
    pass

Evil.__name__ = EVIL

def handler(event, context):
    print(EVIL)
    if event.get("fail"):
        raise Evil(EVIL)
    return {{EVIL: EVIL}}
"""
KEY = 'in/<img src=x onerror="window.hacked=1">.txt'


@pytest.fixture(scope="module")
def evil(platform: platforms.Platform, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Addresses of the page that show what somebody else wrote, each everywhere it may stand."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / "app.py").write_text(SOURCE)
    function = {
        "handler": "app.handler",
        "runtime": "python3",
        "env": {"EVIL": EVIL},
        "buckets": {"photos": "read"},
        "retries": {"maximum_retry_attempts": 0},
    }
    platform.deploy(folder, {"functions": {"evil": function}, "buckets": {"photos": {}}})
    good = platform.json("invoke", "evil")["invocation_id"]
    platform.faas("invoke", "evil", "--data", '{"fail": true}')
    bad = platform.json("invoke", "evil", "--data", '{"fail": true}', "--async")["invocation_id"]
    assert platform.api("/buckets/photos/" + KEY.replace("/", "%2F").replace(" ", "%20"), b"x", "PUT").status == 200
    platform.record(bad)
    return [
        "/functions",
        "/functions/evil",
        "/invocations",
        f"/invocations/{good}",
        f"/invocations/{bad}",
        "/traces",
        "/logs",
        "/buckets",
        "/buckets/photos",
        "/buckets/photos?prefix=in/",
        "/queues",
        "/alarms",
        "/bill",
        "/nodes",
        "/health",
        "/kept",
    ]


def settled(seen: Seen) -> None:
    """Everything that the page asks for has come."""
    eventually_sync(lambda: seen.page.locator("main [aria-busy=true]").count() == 0, within=20)


def test_what_others_wrote_is_text_on_every_page(seen: Seen, evil: list[str]) -> None:
    shown = 0
    for address in evil:
        seen.open(address)
        settled(seen)
        assert seen.page.evaluate("window.hacked") is None, address
        assert seen.page.locator('img[src="x"], main script').count() == 0, address
        shown += EVIL[:20] in seen.page.inner_text("main")
    assert shown >= 3, "logs, results and keys are not shown at all"


def test_the_policy_of_the_page_is_kept_on_every_page(seen: Seen, evil: list[str]) -> None:
    for address in evil:
        seen.open(address)
        settled(seen)
    assert seen.complaints == []
    seen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))"
    )
    assert seen.page.evaluate("window.hacked") is None
    seen.expect("Content Security Policy")


def test_an_uploaded_page_does_not_open_here(seen: Seen, evil: list[str]) -> None:
    seen.platform.api("/buckets/photos/evil.html", b"<script>fetch('/api/v1/functions')</script>", "PUT")
    seen.open("/buckets/photos")
    with seen.page.expect_download():
        seen.page.evaluate("location.assign('/buckets/photos/evil.html')")
    assert seen.page.url.endswith("/buckets/photos")


class Neighbour(http.server.BaseHTTPRequestHandler):
    """A server on another port of the same host, as the gateway with a function's page is one."""

    def do_GET(self) -> None:
        """An empty page."""
        self.server.cookies.append(self.headers.get("Cookie", ""))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>neighbour</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def neighbour() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Neighbour) as server:
        server.cookies = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


_TRY = """async ([api, how]) => {
  const options = {credentials: 'include', ...how};
  try {
    const answer = await fetch(api, options);
    return `${answer.type} ${answer.status}`;
  } catch {
    return 'refused';
  }
}"""


def test_a_page_on_another_port_gets_nothing_by_the_session(
    chromium: sync_api.Browser, platform: platforms.Platform, evil: list[str], neighbour: str
) -> None:
    api = platform.facts["api"]
    before = len(platform.json("ls"))
    with browsers.looking(chromium, platform) as seen:
        seen.page.goto(neighbour)
        tries = [
            (f"{api}/api/v1/functions", {}),
            (f"{api}/api/v1/functions", {"mode": "no-cors"}),
            (f"{api}/api/v1/functions/evil", {"method": "DELETE", "headers": {"Faas-Page": "1"}}),
            (f"{api}/api/v1/functions/evil/invocations", {"method": "POST", "mode": "no-cors", "body": "{}"}),
        ]
        said = [seen.page.evaluate(_TRY, [address, how]) for address, how in tries]
        assert set(said) == {"refused"}, said
        seen.complaints.clear()  # the browser says of each that it was refused
    assert len(platform.json("ls")) == before
