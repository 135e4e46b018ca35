"""Every page by itself: it opens, axe finds nothing, it fits a phone, the keyboard is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python import sync_playwright as axe
from playwright import sync_api
from playwright.sync_api import expect

from faas.core import groups
from faas.store import database, ledger
from tests import browser as browsers
from tests import platform as platforms
from tests import samples
from tests.browser import Seen
from tests.eventually import eventually_sync

SOURCE = """
import json

def handler(event, context):
    print(json.dumps({"level": "info", "message": "priced", "item": event.get("item", "tea")}))
    if event.get("fail"):
        raise ValueError("the basket is empty")
    return {"price": 12345678901234567890}
"""
MANY = 60
BILLED = 130


@pytest.fixture(scope="module")
def shop(platform: platforms.Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of all pages of a platform on which something happened, by their names."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(SOURCE)
    function = {
        "handler": "app.handler",
        "runtime": "python3",
        "memory": "128MB",
        "retries": {"maximum_retry_attempts": 0},
    }
    named = {f"f{number:03}": function for number in range(MANY)}
    triggers = [{"http": {"path": "/shop/{item}", "methods": ["GET"]}}]
    platform.deploy(
        folder,
        {"functions": {"shop": {**function, "triggers": triggers}}, "buckets": {"photos": {}}},
    )
    platform.deploy(
        folder,
        {
            "functions": {"shop": {**function, "memory": "256MB", "triggers": triggers}, **named},
            "buckets": {"photos": {}},
        },
    )
    good = platform.json("invoke", "shop")["invocation_id"]
    dead = platform.json("invoke", "shop", "--data", '{"fail": true}', "--async")["invocation_id"]
    platform.record(dead)
    assert platform.api("/buckets/photos/in/readme.txt", b"x", "PUT").status == 200
    return {
        "login": "/login",
        "functions": "/functions",
        "function": "/functions/shop",
        "function-invocations": "/functions/shop?tab=invocations",
        "function-logs": "/functions/shop?tab=logs",
        "function-invoke": "/functions/shop?tab=invoke",
        "function-revisions": "/functions/shop?tab=revisions",
        "function-configuration": "/functions/shop?tab=configuration",
        "invocations": "/invocations",
        "invocation": f"/invocations/{good}",
        "invocation-dead": f"/invocations/{dead}",
        "traces": "/traces",
        "logs": "/logs",
        "buckets": "/buckets",
        "bucket": "/buckets/photos",
        "queues": "/queues",
        "alarms": "/alarms",
        "bill": "/bill",
        "nodes": "/nodes",
        "health": "/health",
        "kept": "/kept",
    }


@pytest.fixture
def narrow(chromium: sync_api.Browser, platform: platforms.Platform) -> Iterator[Seen]:
    """A phone, dark, that wants nothing to move."""
    with browsers.looking(
        chromium, platform, viewport=browsers.NARROW, color_scheme="dark", reduced_motion="reduce", has_touch=True
    ) as page:
        yield page


def settled(seen: Seen) -> None:
    """Everything that the page asks for has come."""
    eventually_sync(lambda: seen.page.locator("main [aria-busy=true]").count() == 0, within=20)


def violations(seen: Seen) -> list[str]:
    """What axe-core finds: the rule, and the elements."""
    found = axe.Axe().run(seen.page).response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes']][:5]}" for each in found]


def test_every_page_opens_without_complaint_and_axe_finds_nothing(seen: Seen, shop: dict[str, str]) -> None:
    found: dict[str, list[str]] = {}
    for name, address in shop.items():
        seen.open(address)
        settled(seen)
        assert seen.page.get_by_role("alert").count() == 0, f"{name}: {seen.page.inner_text('main')}"
        found[name] = violations(seen)
        seen.picture(f"{name}-light")
    assert {name: each for name, each in found.items() if each} == {}


def test_every_page_fits_a_phone_in_the_dark(narrow: Seen, shop: dict[str, str]) -> None:
    found: dict[str, list[str]] = {}
    for name, address in shop.items():
        narrow.open(address)
        settled(narrow)
        wide = narrow.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found[name] = violations(narrow) + ([f"{wide} pixels too wide"] if wide > 0 else [])
        narrow.picture(f"{name}-dark-phone")
    assert {name: each for name, each in found.items() if each} == {}


def test_the_menu_of_a_phone_folds(narrow: Seen, shop: dict[str, str]) -> None:
    narrow.open("/functions")
    link = narrow.page.get_by_role("link", name="Buckets")
    expect(link).to_be_hidden()
    narrow.page.get_by_role("button", name="Menu").click()
    link.click()
    expect(narrow.page.get_by_role("heading", name="Buckets")).to_be_visible()
    expect(link).to_be_hidden()


def test_the_keyboard_is_enough(seen: Seen, shop: dict[str, str]) -> None:
    seen.open("/functions")
    keyboard = seen.page.keyboard
    keyboard.press("Tab")
    expect(seen.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    expect(seen.page.locator("main")).to_be_focused()
    keyboard.press("/")
    expect(seen.page.get_by_label("Search")).to_be_focused()
    keyboard.type("shop")
    link = seen.page.get_by_role("link", name="shop", exact=True)
    expect(seen.page.get_by_role("link", name="f001", exact=True)).to_have_count(0)
    keyboard.press("Escape")
    link.focus()
    keyboard.press("Enter")
    expect(seen.page.get_by_role("heading", name="shop @2")).to_be_visible()
    expect(seen.page.locator("main")).to_be_focused()


def test_many_functions_are_searched_ordered_and_paged(seen: Seen, shop: dict[str, str]) -> None:
    seen.open("/functions")
    names = seen.page.locator("tbody tr td:first-child a")
    expect(names.first).to_have_text("shop")  # the only one that was called
    expect(names).to_have_count(50)
    seen.page.get_by_role("button", name="Function").click()
    expect(names.first).to_have_text("f000")
    seen.page.get_by_role("button", name="Next").focus()
    seen.page.keyboard.press("Enter")
    expect(names.first).to_have_text("f050")
    # There is no next page, and who turns pages by the keyboard goes on from the other button.
    expect(seen.page.get_by_role("button", name="Previous")).to_be_focused()
    seen.page.get_by_label("Search").fill("f05")
    expect(names).to_have_count(10)
    seen.page.reload()
    expect(names).to_have_count(10)
    seen.page.get_by_label("Search").fill("nothing like it")
    expect(seen.page.get_by_text("No function is called like that.")).to_be_visible()


def test_a_long_bill_begins_with_what_cost_most_and_has_pages(
    seen: Seen, shop: dict[str, str], platform: platforms.Platform
) -> None:
    billed = [samples.ended(function=f"b{number:03}", cost_pico=number * 10**9) for number in range(1, BILLED + 1)]
    engine = database.open_database(groups.Data(data_dir=str(platform.data)))
    ledger.Ledger(engine).commit(billed)
    engine.dispose()
    seen.open("/bill?since=all")
    names = seen.page.get_by_role("table", name="Bill", exact=True).locator("tbody tr td:first-child a")
    expect(names.first).to_have_text(f"b{BILLED:03}")
    expect(names).to_have_count(100)
    expect(seen.page.get_by_text("faas bill --by function --html")).to_be_visible()
    seen.page.get_by_role("button", name="Next").click()
    expect(names.first).to_have_text(f"b{BILLED - 100:03}")
    seen.open("/bill?since=all&by=trigger")
    expect(seen.page.get_by_role("navigation", name="Pages of the list")).to_be_hidden()


def test_the_difference_of_two_revisions_is_shown(seen: Seen, shop: dict[str, str]) -> None:
    seen.open(shop["function-revisions"])
    expect(seen.page.get_by_text("memory_mb")).to_be_visible()
    expect(seen.page.locator(".removed")).to_have_text("128")
    expect(seen.page.locator(".added")).to_have_text("256")


def test_a_theme_that_was_chosen_stays(seen: Seen, shop: dict[str, str]) -> None:
    seen.open("/functions")
    button = seen.page.get_by_role("button", name="Theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(ground)
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    assert seen.page.evaluate(ground) != light
    seen.page.reload()
    expect(button).to_have_text("Theme: dark")
    assert seen.page.evaluate(ground) != light


def test_the_page_says_when_no_events_come(seen: Seen, shop: dict[str, str]) -> None:
    seen.open("/nodes")
    state = seen.page.locator(".live")
    expect(state).to_have_text("Live")
    seen.page.route("**/api/v1/events*", lambda route: route.abort())
    seen.open("/functions")
    expect(state).to_have_text("Not live")
    seen.page.unroute("**/api/v1/events*")
    expect(state).to_have_text("Live", timeout=20_000)
    seen.expect("ERR_FAILED")


def test_what_is_not_there_says_what_where_and_what_to_do(seen: Seen, shop: dict[str, str]) -> None:
    seen.open("/functions/shopp")
    expect(seen.page.get_by_role("alert")).to_contain_text("no function is called shopp")
    expect(seen.page.get_by_role("alert")).to_contain_text("shop")
    seen.open("/no/such/page")
    expect(seen.page.get_by_role("heading", name="Not found")).to_be_visible()
    seen.expect("404")


def test_nothing_of_the_page_reads_html() -> None:
    home = Path(__file__).parents[2] / "faas" / "web" / "static"
    for path in (each for each in home.rglob("*.js") if "vendor" not in each.parts):
        text = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in text, f"{path.relative_to(home)} has {word}"
