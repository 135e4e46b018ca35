"""What browsers are told of routes that pages of other origins may call."""

from __future__ import annotations

import pytest

from faas.core import model
from faas.core.http import replies
from triggers.gateway import answering, crossing

APP = "https://app.example"
NAMED = model.Cors(origins=(APP, "https://*.shop.example"), credentials=True, max_age_s=600, expose=("X-Total",))


def lines(cors: model.Cors | None, origin: str | None) -> dict[str, str]:
    text = crossing.lines(cors, {} if origin is None else {"origin": origin})
    return dict(line.split(": ", 1) for line in text.split("\r\n")[:-1])


def test_a_route_without_cors_says_nothing() -> None:
    assert lines(None, APP) == {}


@pytest.mark.parametrize(
    "origin", [APP, "https://a.shop.example", "https://a.b.shop.example", "https://a.shop.example:99"]
)
def test_an_origin_that_is_allowed_is_named(origin: str) -> None:
    given = NAMED if ":99" not in origin else model.Cors(origins=("https://*.shop.example:99",), credentials=True)
    told = lines(given, origin)
    assert told["Access-Control-Allow-Origin"] == origin
    assert told["Access-Control-Allow-Credentials"] == "true"
    assert told["Vary"] == "Origin"
    assert "Faas-Error" in told["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "http://app.example", "https://app.example.evil", "https://shop.example", "https://evil-shop.example",
        "https://evil.example/.shop.example", "https://APP.example", "https://a.shop.example:99", "https://a\\.shop.example",
    ],
)  # fmt: skip
def test_another_origin_is_told_nothing_but_that_answers_differ(origin: str | None) -> None:
    assert lines(NAMED, origin) == {"Vary": "Origin"}


def test_any_origin_is_told_alike_so_that_answers_can_be_kept() -> None:
    told = lines(model.Cors(origins=("*",)), None)
    assert told["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in told
    assert "Access-Control-Allow-Credentials" not in told


def preflight(cors: model.Cors, takes: tuple[str, ...] = (), wanted: str = "", origin: str = APP) -> dict[str, str]:
    first = {"origin": origin, "access-control-request-headers": wanted}
    reply = crossing.preflight(cors, takes, "PUT", first)
    assert (reply.status, reply.body) == (204, b"")
    return dict(reply.headers)


def test_a_preflight_is_told_methods_fields_and_for_how_long() -> None:
    assert preflight(NAMED, ("GET", "PUT"), "x-a, content-type") == {
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Allow-Headers": "x-a, content-type",
        "Access-Control-Max-Age": "600",
    }
    narrow = model.Cors(origins=("*",), methods=("PUT",), headers=("X-Only",))
    assert preflight(narrow, ("GET", "PUT"), "x-a") == {
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "X-Only",
    }
    assert preflight(model.Cors(origins=("*",)))["Access-Control-Allow-Methods"] == "PUT"


@pytest.mark.parametrize("wanted", ["x-a\r\nSet-Cookie: b", "x a", "a" * 5000, ",", ""])
def test_fields_that_are_none_are_not_said_back(wanted: str) -> None:
    assert "Access-Control-Allow-Headers" not in preflight(NAMED, (), wanted)


def test_a_preflight_of_another_origin_is_told_nothing() -> None:
    assert preflight(NAMED, ("PUT",), "x-a", "https://evil.example") == {}


def test_the_fields_of_the_route_stand_in_place_of_the_functions_own() -> None:
    own = [("Access-Control-Allow-Origin", "*"), ("ACCESS-CONTROL-EXPOSE-HEADERS", "x"), ("X-A", "1")]
    reply = replies.Reply(200, own, b"")
    sent = answering.encoded(reply, "id", crossing=crossing.lines(NAMED, {"origin": APP})).decode()
    assert sent.lower().count("access-control-allow-origin") == 1
    assert f"Access-Control-Allow-Origin: {APP}\r\n" in sent
    assert "X-A: 1\r\n" in sent
    assert answering.encoded(reply, "id").decode().count("Access-Control-Allow-Origin: *") == 1


def test_an_answer_that_allows_methods_by_itself_keeps_them() -> None:
    reply = crossing.preflight(NAMED, ("PUT",), "PUT", {"origin": APP})
    assert b"Access-Control-Allow-Methods: PUT\r\n" in answering.encoded(reply, "", crossing="Vary: Origin\r\n")
