"""What is kept, and setting for how long: over the control API and at the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from faas.core import model
from faas.core import settings as settings_module
from tests.command import faas
from tests.served_api import ControlApi, serving

DAY_MS = 86_400_000


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        yield served


async def put(api: ControlApi, kind: str, **body: Any) -> tuple[int, Any]:
    return await api.call("PUT", f"/api/v1/kept/{kind}", json=body)


async def test_what_is_kept_is_told_by_kind_and_by_function_the_largest_first(api: ControlApi) -> None:
    for number in range(3):
        api.record(function="hello", logs=(model.LogLine(number, "grüße" * 100),))
    api.record(function="gone", logs=())
    found = await api.get("/api/v1/kept")
    records = found["kinds"]["records"]
    assert (records["count"], records["keep"]) == (4, {"keep_ms": 30 * DAY_MS, "origin": "settings"})
    assert found["kinds"]["logs"]["bytes"] == 3 * 700
    assert found["kinds"]["results"]["count"] == 0
    assert [each["name"] for each in found["functions"]] == ["hello", "gone"]
    hello = found["functions"][0]
    assert (hello["kinds"]["records"]["count"], hello["kinds"]["revisions"]["count"]) == (3, 1)
    assert sum(each["kinds"]["records"]["bytes"] for each in found["functions"]) == records["bytes"]
    assert found["total"] == 2
    assert [each["name"] for each in (await api.get("/api/v1/kept", limit=1, offset=1))["functions"]] == ["gone"]


async def test_one_function_is_told_alone_also_one_that_has_gone_and_a_stranger_is_not(api: ControlApi) -> None:
    api.record(function="gone")
    (gone,) = (await api.get("/api/v1/kept", function="gone"))["functions"]
    assert (gone["kinds"]["records"]["count"], gone["figures"]) == (1, 0)
    assert (await api.call("GET", "/api/v1/kept", params={"function": "nobody"}))[0] == 404


async def test_what_is_set_says_so_and_is_forgotten_again(api: ControlApi) -> None:
    assert await put(api, "logs", keep_ms=3 * DAY_MS) == (200, {"keep_ms": 3 * DAY_MS, "origin": "all"})
    assert await put(api, "logs", keep_ms=0, function="hello") == (200, {"keep_ms": 0, "origin": "function"})
    found = await api.get("/api/v1/kept")
    assert found["kinds"]["logs"]["keep"] == {"keep_ms": 3 * DAY_MS, "origin": "all"}
    assert found["functions"][0]["keep"]["logs"] == {"keep_ms": 0, "origin": "function"}
    assert (await put(api, "logs", keep_ms=None, function="hello"))[1]["origin"] == "all"
    assert (await put(api, "logs", keep_ms=None))[1] == {"keep_ms": 14 * DAY_MS, "origin": "settings"}


async def test_what_was_set_for_a_function_that_has_gone_can_be_forgotten_and_a_name_that_nobody_has_is_told(
    api: ControlApi,
) -> None:
    await put(api, "logs", keep_ms=DAY_MS)
    await put(api, "logs", keep_ms=DAY_MS, function="hello")
    assert (await api.call("DELETE", "/api/v1/functions/hello"))[0] == 200
    assert (await put(api, "logs", keep_ms=None, function="hello"))[1]["origin"] == "all"
    for name in ("hello", "helo", ""):
        assert (await put(api, "logs", keep_ms=None, function=name))[0] == 404
    assert (await api.get("/api/v1/kept"))["kinds"]["logs"]["keep"]["origin"] == "all"


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("logs", {"keep_ms": 1}, 400), ("logs", {"keep_ms": -1}, 400), ("logs", {"keep_ms": "1d"}, 400),
        ("logs", {}, 400), ("logs", {"keep_ms": DAY_MS, "function": "nobody"}, 404), ("logs", [], 400),
        ("minutes", {"keep_ms": DAY_MS, "function": "hello"}, 400), ("tea", {"keep_ms": DAY_MS}, 404),
        ("logs", {"keep_ms": DAY_MS, "more": 1}, 400), ("logs", {"keep_ms": DAY_MS, "function": ""}, 404),
    ],
)  # fmt: skip
async def test_what_cannot_be_set_is_refused(api: ControlApi, kind: str, body: Any, status: int) -> None:
    assert (await api.call("PUT", f"/api/v1/kept/{kind}", json=body))[0] == status


async def test_the_command_line_sets_and_shows_it(api: ControlApi) -> None:
    root = api.settings.data.root
    done = await faas(root, "kept", "set", "logs", "3d", "--function", "hello")
    assert (done.code, "logs of hello are kept for 3d (by function)" in done.err) == (0, True)
    done = await faas(root, "kept", "ls", "hello", "--json")
    assert done.json["functions"][0]["keep"]["logs"]["keep_ms"] == 3 * DAY_MS
    done = await faas(root, "kept", "set", "dead-letters", "ever")
    assert "dead letters of all functions are kept for ever (by all)" in done.err
    for wrong in ("0", "soon", "-1d"):
        assert (await faas(root, "kept", "set", "logs", wrong)).code == 2
