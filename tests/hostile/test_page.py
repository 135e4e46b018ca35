"""What somebody may try on the owner of a session, from a page of their own or by what they upload."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from faas.api import app, middleware, openapi
from faas.api.entry import guarding, sessions
from faas.core import events, model
from faas.core import settings as settings_module
from tests.served_api import ControlApi, serving

OWN = {"Faas-Page": "1"}
CHANGES = [row for row in app.TABLE if row.method not in ("GET", "HEAD") and row.path not in middleware.OPEN_PATHS]


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


@pytest.fixture
async def cookie(api: ControlApi) -> str:
    """The cookie of somebody who is logged in."""
    async with aiohttp.ClientSession() as one, one.post(f"{api.url}/api/v1/login", json={"token": api.token}) as answer:
        return answer.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture
async def browser(cookie: str) -> AsyncIterator[aiohttp.ClientSession]:
    """The browser of that person, which sends the cookie with whatever a page makes it send."""
    async with aiohttp.ClientSession(headers={"Cookie": cookie}, cookie_jar=aiohttp.DummyCookieJar()) as one:
        yield one


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "http://evil.example", **OWN},
        {"Origin": "http://127.0.0.1:8080", **OWN},
        {"Origin": "null", **OWN},
        {"Sec-Fetch-Site": "same-site", "Origin": "{own}", **OWN},
        {"Origin": "{own}"},
        {**OWN},
        {},
    ],
)
async def test_no_change_is_made_by_a_cookie_that_another_page_sends(
    api: ControlApi, browser: aiohttp.ClientSession, sent: dict[str, str]
) -> None:
    headers = {name: value.format(own=api.url) for name, value in sent.items()}
    for row in CHANGES:
        url = api.url + re.sub(r"\{\w+\}", "nothing", openapi.path(row))
        async with browser.request(row.method, url, headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (403, "forbidden"), row.path


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
async def test_nothing_is_read_by_a_cookie_for_a_page_of_another_port(
    api: ControlApi, browser: aiohttp.ClientSession, site: str
) -> None:
    for path in ("/api/v1/functions", "/api/v1/events", "/buckets", "/metrics", "/api/v1/session"):
        async with browser.get(f"{api.url}{path}", headers={"Sec-Fetch-Site": site}) as answer:
            assert answer.status == 403, path


async def test_a_name_that_leads_here_does_not_get_the_page(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    for path in ("/", "/functions/x", "/static/app.js", "/api/v1/login"):
        rebound = {"Host": "evil.example", "Accept": "text/html"}
        async with browser.get(f"{api.url}{path}", headers=rebound) as answer:
            assert answer.status == 421, path


async def test_a_login_from_a_page_of_another_site_is_refused(api: ControlApi) -> None:
    evil = {"Origin": "http://evil.example"}
    asked = {"json": {"token": api.token}, "headers": evil}
    async with aiohttp.ClientSession() as one, one.post(f"{api.url}/api/v1/login", **asked) as answer:
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


async def status_by(api: ControlApi, cookie: str) -> int:
    """What somebody with this cookie alone is answered."""
    async with (
        aiohttp.ClientSession(headers={"Cookie": cookie}) as one,
        one.get(f"{api.url}/api/v1/functions") as answer,
    ):
        return answer.status


@pytest.mark.parametrize(
    "value", ["", "x", ".", "..", "9999999999999.x.y", "9999999999999.x.", "é", "a" * 5_000, "1.2.3.4.5"]
)
async def test_a_made_up_cookie_gets_nobody_in(api: ControlApi, cookie: str, value: str) -> None:
    name = cookie.partition("=")[0]
    assert await status_by(api, f"{name}={value}") == 401


async def test_the_session_of_another_token_gets_nobody_in(api: ControlApi, cookie: str) -> None:
    other = sessions.SessionKey.of("another")
    forged = other.sign(sessions.Session("x", 9_999_999_999_999))
    assert await status_by(api, f"{cookie.partition('=')[0]}={forged}") == 401


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a.html", "attachment"),
        ("a.svg", "attachment"),
        ("a.js", "attachment"),
        ("a.css", "attachment"),
        ("a.pdf", "attachment"),
        ("a.xml", "attachment"),
        ("noext", "attachment"),
        ("a.png", "inline"),
        ("a.JPG", "inline"),
        ("a.webp", "inline"),
    ],
)
async def test_an_object_runs_nothing_in_the_browser_of_who_is_logged_in(
    api: ControlApi, browser: aiohttp.ClientSession, key: str, shown: str
) -> None:
    api.functions.activate([], [model.Bucket(name="photos")])
    async with api.session.put(f"{api.url}/buckets/photos/{key}", data=b"<script>alert(1)</script>") as answer:
        assert answer.status == 200
    async with browser.get(f"{api.url}/buckets/photos/{key}", headers={"Accept": "text/html"}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == shown
        assert answer.headers["Content-Security-Policy"] == guarding.DATA_POLICY
        assert "sandbox" in guarding.DATA_POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content_type.startswith("image/") == (shown == "inline")
        assert "svg" not in answer.content_type
        if shown == "attachment":
            assert answer.content_type == "application/octet-stream"


async def test_every_answer_of_the_api_is_no_document_that_runs(api: ControlApi) -> None:
    for path in ("/api/v1/functions", "/nowhere", "/healthz", "/metrics"):
        async with api.session.get(f"{api.url}{path}") as answer:
            assert answer.headers["Content-Security-Policy"] == guarding.DATA_POLICY, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"


def test_no_function_is_shown_the_cookie_of_the_page() -> None:
    name = sessions.SessionKey.of("token").cookie
    head = events.http_head(
        method="GET",
        raw_path="/",
        raw_query="",
        headers=[("Cookie", f"a=1; {name}=secret; __Host-{name}=secret;b=2"), ("cookie", f"{name}=secret")],
        source_ip="127.0.0.1",
        protocol="HTTP/1.1",
        route_key="$default",
        path_parameters={},
        domain="localhost",
    )
    event = json.loads(events.http_event(head, b"", invocation_id="i", time_ms=0))
    assert event["cookies"] == ["a=1", "b=2"]
    assert "secret" not in json.dumps(event)
