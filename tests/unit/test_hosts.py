"""Which hosts and origins requests may name."""

from __future__ import annotations

import pytest

from faas.core import errors
from faas.core.http import hosts

OWN = hosts.of("faas.example.com, *.fn.example.com,Box.")


@pytest.mark.parametrize(
    "host", ["faas.example.com", "FAAS.example.com.", "a.fn.example.com", "a.b.fn.example.com", "box"]
)
def test_a_name_of_the_list_is_ours(host: str) -> None:
    hosts.refuse_foreign(host, OWN)


@pytest.mark.parametrize(
    "host",
    ["", "example.com", "evil.com", "faas.example.com.evil.com", "fn.example.com", "xfn.example.com", "127.0.0.1"],
)
def test_any_other_name_is_refused_when_there_is_a_list(host: str) -> None:
    with pytest.raises(errors.Misdirected, match="does not go by"):
        hosts.refuse_foreign(host, OWN)


def test_without_a_list_every_name_is_taken() -> None:
    hosts.refuse_foreign("anything", frozenset())


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80", "[::1]:80", "10.0.0.7", "localhost:9", "LOCALHOST", "box:1", "other:1"]
)
def test_an_address_a_name_without_a_dot_and_our_names_cannot_be_led_elsewhere(host: str) -> None:
    hosts.refuse_rebound(host, OWN)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com",
        "evil.com:127",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "[",
        "a@127.0.0.1.x",
        "127.1",
        "0x7f.1",
    ],
)
@pytest.mark.parametrize("own", [OWN, frozenset()])
def test_a_name_that_a_stranger_could_lead_here_is_refused(host: str, own: frozenset[str]) -> None:
    with pytest.raises(errors.Misdirected):
        hosts.refuse_rebound(host, own)


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:80", "https://127.0.0.1:80", "HTTP://127.0.0.1:80"])
def test_our_own_pages_and_what_is_no_page_may_use_the_control_api(origin: str | None) -> None:
    hosts.refuse_strange_origin(origin, "127.0.0.1:80")


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.com", "http://127.0.0.1", "http://127.0.0.1:81", "file://"]
)
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    with pytest.raises(errors.Forbidden):
        hosts.refuse_strange_origin(origin, "127.0.0.1:80")
