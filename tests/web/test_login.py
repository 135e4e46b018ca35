"""Getting in and out by the page: the token, a link of `faas open`, a logout."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser import Seen

_NOT_IN = r"401 \(Unauthorized\)"


def token(seen: Seen) -> str:
    return Path(seen.platform.facts["token_file"]).read_text().strip()


def link(seen: Seen, path: str = "/") -> str:
    made = json.loads(seen.platform.faas("open", path, "--json").stdout)
    return str(made["url"])


def is_in(seen: Seen, path: str) -> None:
    """The page is shown, and not the login."""
    expect(seen.page.get_by_role("navigation").first).to_be_visible()
    seen.page.wait_for_url(f"**{path}")
    assert "login" not in seen.page.url


def test_who_is_not_logged_in_gets_the_login_and_then_where_he_wanted_to(stranger: Seen) -> None:
    stranger.page.goto(stranger.platform.facts["api"] + "/bill")
    stranger.page.get_by_label("Token").fill(token(stranger))
    stranger.page.keyboard.press("Enter")
    is_in(stranger, "/bill")
    stranger.expect(_NOT_IN)


def test_a_wrong_token_is_said_and_can_be_mended(stranger: Seen) -> None:
    stranger.page.goto(stranger.platform.facts["api"] + "/login")
    field = stranger.page.get_by_label("Token")
    field.fill("wrong")
    field.press("Enter")
    expect(stranger.page.get_by_text("not the platform's token")).to_be_visible()
    field.fill(token(stranger))
    field.press("Enter")
    is_in(stranger, "/functions")
    stranger.expect(_NOT_IN)


def test_a_link_gets_in_once_and_leaves_nothing_in_the_address(stranger: Seen) -> None:
    address = link(stranger, "/bill")
    stranger.page.goto(address)
    is_in(stranger, "/bill")
    assert "code" not in stranger.page.url
    stranger.page.context.clear_cookies()
    stranger.page.goto("about:blank")
    stranger.page.goto(address)
    expect(stranger.page.get_by_text("used already")).to_be_visible()
    expect(stranger.page.get_by_label("Token")).to_be_visible()
    stranger.expect(_NOT_IN)


def test_a_link_that_leads_elsewhere_stays_here(stranger: Seen) -> None:
    address = link(stranger).replace("to=%2F", "to=%2F%2Fevil.example%2F")
    stranger.page.goto(address)
    expect(stranger.page.get_by_role("navigation").first).to_be_visible()
    assert stranger.page.url.startswith(stranger.platform.facts["api"])


def test_no_script_can_read_the_session(seen: Seen) -> None:
    seen.open("/functions")
    assert seen.page.evaluate("document.cookie") == ""
    (cookie,) = seen.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


def test_after_a_logout_nothing_is_shown(seen: Seen) -> None:
    seen.open("/functions")
    seen.page.get_by_role("button", name="Log out").click()
    expect(seen.page.get_by_label("Token")).to_be_visible()
    seen.page.goto(seen.platform.facts["api"] + "/functions")
    expect(seen.page.get_by_label("Token")).to_be_visible()
    seen.expect(_NOT_IN)
