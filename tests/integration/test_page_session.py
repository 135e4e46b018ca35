"""The page and its sessions over a real socket: who gets in by a cookie, with what, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl

from faas.api.entry import guarding, guessing, sessions
from faas.core import settings as settings_module
from faas.web import files
from tests.served_api import ControlApi, serving

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OWN = {"Faas-Page": "1"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of the test's own."""
    made = tmp_path / "static"
    made.mkdir()
    (made / "index.html").write_text('<!doctype html><title>page</title><script src="/static/app.js"></script>')
    (made / "app.js").write_text("// the page\n" * 100)
    monkeypatch.setattr(files, "HOME", made)
    return made


@pytest.fixture
async def api(settings: settings_module.Settings, home: Path) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


@pytest.fixture
async def browser(api: ControlApi) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody without the token, who keeps cookies and says where requests come from as a browser does."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": api.url}) as one:
        yield one


async def asked(
    browser: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> tuple[int, Any, Mapping[str, str]]:
    async with browser.request(method, url, **options) as answer:
        body = await answer.read()
        value = await answer.json() if answer.content_type == "application/json" else body
        return answer.status, value, answer.headers.copy()


async def log_in(api: ControlApi, browser: aiohttp.ClientSession, **given: Any) -> tuple[int, Any, Mapping[str, str]]:
    return await asked(browser, "POST", f"{api.url}/api/v1/login", json=given or {"token": api.token})


async def test_the_page_is_served_to_anybody_at_every_address(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    for path in ("/", "/functions", "/functions/hello", "/login", "/invocations/a.b", "/buckets", "/buckets/photos"):
        status, body, headers = await asked(browser, "GET", f"{api.url}{path}", headers=HTML)
        assert (status, b"<title>page</title>" in body) == (200, True), path
        assert headers["Content-Security-Policy"] == guarding.PAGE_POLICY
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        status, body, _ = await asked(browser, "HEAD", f"{api.url}{path}", headers=HTML)
        assert (status, body) == (200, b"")


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/api/v2", "/static/nowhere.js", "/api/"])
async def test_an_address_of_the_api_or_of_a_file_is_never_the_page(api: ControlApi, path: str) -> None:
    async with api.session.get(f"{api.url}{path}", headers=HTML) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/functions"])
async def test_a_route_of_the_api_is_itself_in_a_browser(api: ControlApi, path: str) -> None:
    async with api.session.get(f"{api.url}{path}", headers=HTML) as answer:
        assert (answer.status, answer.content_type != "text/html") == (200, True)


async def test_who_takes_no_html_gets_errors_and_not_the_page(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    assert (await asked(browser, "GET", f"{api.url}/functions"))[0] == 401
    assert (await asked(browser, "POST", f"{api.url}/functions", headers=HTML))[0] == 401
    status, value, _ = await asked(api.session, "GET", f"{api.url}/functions")
    assert (status, value["error"]["code"]) == (404, "not_found")


async def test_files_may_be_kept_for_good_under_their_digest(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    digest = files.load().digest
    status, body, headers = await asked(browser, "GET", f"{api.url}/static/{digest}/app.js")
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert body == b"// the page\n" * 100
    assert (headers["Content-Encoding"], "immutable" in headers["Cache-Control"]) == ("gzip", True)
    assert headers["Content-Security-Policy"] == guarding.DATA_POLICY
    _, _, headers = await asked(browser, "GET", f"{api.url}/static/app.js")
    assert headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": headers["ETag"]}
    assert (await asked(browser, "GET", f"{api.url}/static/app.js", headers=known))[0] == 304


@pytest.mark.parametrize(
    "path", ["../../../etc/passwd", "..%2f..%2fetc/passwd", "%2e%2e/x", "//etc/passwd", "app.js%00", "", "."]
)
async def test_no_path_leads_out_of_the_table(api: ControlApi, browser: aiohttp.ClientSession, path: str) -> None:
    status, value, _ = await asked(browser, "GET", str(yarl.URL(f"{api.url}/static/{path}", encoded=True)))
    assert status in (400, 401, 404), value


async def test_a_login_by_token_gives_a_cookie_that_gets_in(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    assert (await asked(browser, "GET", f"{api.url}/api/v1/functions"))[0] == 401
    status, value, headers = await log_in(api, browser)
    assert status == 200
    given = headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(given.split("; "))
    assert "Secure" not in given
    assert api.token not in given
    assert (await asked(browser, "GET", f"{api.url}/api/v1/functions"))[0] == 200
    assert (await asked(browser, "GET", f"{api.url}/api/v1/session"))[1] == value


@pytest.mark.parametrize("given", [{"token": "wrong"}, {"token": ""}, {"code": "x"}, {"code": ""}])
async def test_a_wrong_token_or_code_gets_nobody_in(
    api: ControlApi, browser: aiohttp.ClientSession, given: dict[str, str]
) -> None:
    status, value, headers = await log_in(api, browser, **given)
    assert (status, value["error"]["code"], "Set-Cookie" in headers) == (401, "unauthorized", False)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"nonsense", b'{"token":"a","code":"b"}', b'{"token":1}', b'{"token":"a","x":1}', b"\xff"],
)
async def test_what_is_no_login_is_refused(api: ControlApi, browser: aiohttp.ClientSession, body: bytes) -> None:
    json = {"Content-Type": "application/json"}
    status, value, _ = await asked(browser, "POST", f"{api.url}/api/v1/login", data=body, headers=json)
    assert (status, value["error"]["code"]) == (400, "bad_request")


async def test_a_login_that_is_large_or_no_json_is_refused(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    assert (await log_in(api, browser, token="x" * 10_000))[0] == 413
    assert (await asked(browser, "POST", f"{api.url}/api/v1/login", data={"token": api.token}))[0] == 400


async def test_a_code_is_good_once(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    status, offered = await api.call("POST", "/api/v1/login-codes")
    assert status == 200
    answers = await asyncio.gather(*(log_in(api, browser, code=offered["code"]) for _ in range(5)))
    assert sorted(status for status, _, _ in answers) == [200, 401, 401, 401, 401]


async def test_a_code_is_good_for_a_minute(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    _, offered = await api.call("POST", "/api/v1/login-codes")
    async with api.queue() as queue:
        name = queue.keys.login_code(sessions.digest(offered["code"]))
        left_ms = await queue.link.call("PTTL", name)
        assert 0 < left_ms <= sessions.CODE_LASTS_MS
        await queue.link.call("PEXPIRE", name, 0)
    assert (await log_in(api, browser, code=offered["code"]))[0] == 401


async def test_a_session_makes_no_codes(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    await log_in(api, browser)
    assert (await asked(browser, "POST", f"{api.url}/api/v1/login-codes", headers=OWN))[0] == 403
    assert (await asked(browser, "POST", f"{api.url}/api/v1/login-codes"))[0] == 403


async def test_after_a_logout_the_cookie_is_good_for_nothing(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    await log_in(api, browser)
    (cookie,) = [f"{each.key}={each.value}" for each in browser.cookie_jar]
    status, _, headers = await asked(browser, "DELETE", f"{api.url}/api/v1/session", headers=OWN)
    assert (status, "Max-Age=0" in headers["Set-Cookie"]) == (204, True)
    for headers in ({}, {"Cookie": cookie}):
        assert (await asked(browser, "GET", f"{api.url}/api/v1/functions", headers=headers))[0] == 401


async def test_another_control_api_knows_the_session_and_its_end(
    settings: settings_module.Settings, api: ControlApi, browser: aiohttp.ClientSession
) -> None:
    await log_in(api, browser)
    (cookie,) = [f"{each.key}={each.value}" for each in browser.cookie_jar]
    await asked(browser, "DELETE", f"{api.url}/api/v1/session", headers=OWN)
    async with api.queue() as queue:
        assert await queue.link.call("KEYS", f"{settings.redis.redis_prefix}:ended-session:*") != []
    assert cookie.startswith("faas-session-")


async def test_many_wrong_logins_are_slowed_and_the_session_goes_on(
    api: ControlApi, browser: aiohttp.ClientSession
) -> None:
    await log_in(api, browser)
    for _ in range(guessing.MOST_OF_ONE):
        assert (await log_in(api, browser, token="wrong"))[0] == 401
    status, value, headers = await log_in(api, browser)
    assert (status, value["error"]["code"]) == (429, "throttled")
    assert 0 < int(headers["Retry-After"]) <= 60
    assert (await asked(browser, "GET", f"{api.url}/api/v1/functions"))[0] == 200


async def test_who_has_a_code_gets_in_while_somebody_of_his_address_tries_tokens(
    api: ControlApi, browser: aiohttp.ClientSession
) -> None:
    for _ in range(guessing.MOST_OF_ONE):
        assert (await log_in(api, browser, token="wrong"))[0] == 401
    assert (await log_in(api, browser))[0] == 429
    code = (await api.call("POST", "/api/v1/login-codes"))[1]["code"]
    assert (await log_in(api, browser, code="wrong"))[0] == 401
    assert (await log_in(api, browser, code=code))[0] == 200


async def test_behind_a_proxy_that_is_believed_each_client_has_wrong_tokens_of_his_own(
    settings: settings_module.Settings, home: Path
) -> None:
    trusting = settings_module.changed(settings, trusted_proxies="127.0.0.1")

    async def status(api: ControlApi, of: dict[str, str], token: str) -> int:
        async with aiohttp.ClientSession() as browser:
            body = {"token": token}
            return (await asked(browser, "POST", f"{api.url}/api/v1/login", json=body, headers=of))[0]

    async with serving(trusting) as api:
        for number in range(guessing.MOST_OF_ONE):
            # What he says of himself comes before what the proxy adds, and an IPv6 network is one customer's.
            away = {"X-Forwarded-For": f"10.0.0.{number}, 2001:db8:0:1::{number:x}"}
            assert await status(api, away, "wrong") == 401
        assert await status(api, {"X-Forwarded-For": "2001:db8:0:1::ffff"}, api.token) == 429
        assert await status(api, {"Forwarded": 'for="[2001:db8:0:1::fffe]"'}, api.token) == 429
        assert await status(api, {"X-Forwarded-For": "198.51.100.7"}, api.token) == 200
        assert await status(api, {"X-Forwarded-For": "2001:db8:0:2::1"}, api.token) == 200


@pytest.mark.parametrize(
    "https", [{"X-Forwarded-Proto": "http, HTTPS"}, {"Forwarded": "for=10.0.0.1;proto=http, for=10.0.0.2;proto=https"}]
)
async def test_behind_a_proxy_that_is_believed_the_cookie_is_for_https_alone(
    settings: settings_module.Settings, home: Path, https: dict[str, str]
) -> None:
    trusting = settings_module.changed(settings, trusted_proxies="127.0.0.1")
    async with serving(trusting) as api, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        body = {"token": api.token}
        _, _, headers = await asked(browser, "POST", f"{api.url}/api/v1/login", json=body, headers=https)
        assert headers["Set-Cookie"].startswith("__Host-faas-session-")
        assert "Secure" in headers["Set-Cookie"].split("; ")
        cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
        assert (await asked(browser, "GET", f"{api.url}/api/v1/session", headers={**cookie, **https}))[0] == 200
        assert (await asked(browser, "GET", f"{api.url}/api/v1/session", headers=cookie))[0] == 401


async def test_who_is_no_proxy_is_not_believed(api: ControlApi, browser: aiohttp.ClientSession) -> None:
    https = {"X-Forwarded-Proto": "https"}
    _, _, headers = await asked(browser, "POST", f"{api.url}/api/v1/login", json={"token": api.token}, headers=https)
    assert headers["Set-Cookie"].startswith("faas-session-")
