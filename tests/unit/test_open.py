"""`faas open`: which link it makes, and whether there is anything to open it with."""

from __future__ import annotations

import urllib.parse

import pytest

from faas.cli import open as opening
from faas.core import errors


def test_the_code_stands_behind_the_hash_alone() -> None:
    made = urllib.parse.urlsplit(opening.link("http://127.0.0.1:8081", "c-0_d", "/functions/a b?x=1&y#z"))
    assert (made.netloc, made.path) == ("127.0.0.1:8081", "/login")
    assert urllib.parse.parse_qs(made.query) == {"to": ["/functions/a b?x=1&y#z"]}
    assert urllib.parse.parse_qs(made.fragment) == {"code": ["c-0_d"]}


@pytest.mark.parametrize(
    ("api", "reached"),
    [
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://0.0.0.0:8081", "http://127.0.0.1:8081"),
        ("http://[::]:8081", "http://[::1]:8081"),
        ("http://10.0.0.7:9", "http://10.0.0.7:9"),
        ("http://server:9", "http://server:9"),
    ],
)
def test_all_addresses_is_no_address_to_open(api: str, reached: str) -> None:
    assert opening.reachable(api) == reached


@pytest.mark.parametrize(("path", "wanted"), [("/", "/"), ("functions/a", "/functions/a"), ("/bill", "/bill")])
def test_a_path_of_the_page_may_be_written_with_and_without_its_slash(path: str, wanted: str) -> None:
    assert opening.checked_path(path) == wanted


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "/a\nb", "///"])
def test_what_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(errors.BadRequest):
        opening.checked_path(path)


def test_a_browser_needs_a_screen() -> None:
    assert not opening.has_screen({}, "linux")
    assert opening.has_screen({"DISPLAY": ":0"}, "linux")
    assert opening.has_screen({"WAYLAND_DISPLAY": "wayland-0"}, "linux")
    assert opening.has_screen({}, "darwin")
