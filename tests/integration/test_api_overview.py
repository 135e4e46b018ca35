"""``GET /api/v1/overview``: all functions with their figures, over a real socket and from a real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from faas.core import clock, model
from faas.core import settings as settings_module
from faas.store import database, schema
from tests.served_api import ControlApi, serving


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


def ended(api: ControlApi, function: str, times: int, **changes: Any) -> None:
    now_ms = clock.now_ms()
    for _ in range(times):
        api.record(function=function, ended_at_ms=now_ms - 1_000, **changes)


async def rows(api: ControlApi, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get("/api/v1/overview", **query))["functions"]
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in found]


async def test_functions_have_the_figures_of_the_time(api: ControlApi) -> None:
    for name in ("busy", "idle"):
        api.deploy(name)
    ended(api, "busy", 3, duration_us=1_000, cost_pico=5)
    ended(api, "busy", 1, status=model.Status.ERROR, duration_us=9_000, cold_start=model.ColdStart.FULL)
    ended(api, "gone", 1)
    shown = await api.get("/api/v1/overview")
    assert shown["total"] == 2
    busy, idle = shown["functions"]
    assert (busy["name"], busy["revision"], busy["count"], busy["errors"], busy["cold_starts"]) == ("busy", 1, 4, 1, 1)
    assert busy["p50_us"] == pytest.approx(1_000, rel=0.01)
    assert busy["p99_us"] == pytest.approx(9_000, rel=0.01)
    assert (sum(busy["spark"]), sum(idle["spark"])) == (4, 0)
    assert 30 <= len(busy["spark"]) == len(idle["spark"]) <= 31
    assert (idle["count"], idle["cost_pico"], idle["waiting"], idle["running"]) == (0, 0, 0, 0)


async def test_they_are_sorted_searched_and_cut_into_pages(api: ControlApi) -> None:
    for name, times in (("a1", 1), ("a2", 3), ("b1", 2)):
        api.deploy(name)
        ended(api, name, times, duration_us=10_000 // times)
    assert names(await rows(api)) == ["a1", "a2", "b1"]
    assert names(await rows(api, sort="rate", desc="true")) == ["a2", "b1", "a1"]
    assert names(await rows(api, sort="p99", desc="true")) == ["a1", "b1", "a2"]
    assert names(await rows(api, sort="cost", desc="true", limit=1, offset=1)) == ["b1"]
    assert names(await rows(api, search="A", sort="rate")) == ["a1", "a2"]
    page = await api.get("/api/v1/overview", search="a", limit=1)
    assert (page["total"], names(page["functions"])) == (2, ["a1"])


async def test_what_waits_is_told_beside_it(api: ControlApi) -> None:
    api.deploy("hello")
    status, _ = await api.call("POST", "/api/v1/functions/hello/invocations", headers={"Faas-Invocation-Type": "async"})
    assert status == 202
    assert [row["waiting"] for row in await rows(api)] == [1]


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "nonsense"},
        {"limit": "0"},
        {"limit": "501"},
        {"offset": "-1"},
        {"since": "soon"},
        {"since": "9999-01-01"},
    ],
)
async def test_what_cannot_be_asked_is_refused(api: ControlApi, query: dict[str, str]) -> None:
    assert (await api.call("GET", "/api/v1/overview", params=query))[0] == 400


async def test_a_platform_without_functions_has_an_empty_page(api: ControlApi) -> None:
    shown = await api.get("/api/v1/overview", sort="p99")
    assert (shown["total"], shown["functions"]) == (0, [])


async def test_a_function_tells_how_many_of_its_alarms_fire(
    api: ControlApi, settings: settings_module.Settings
) -> None:
    api.deploy("hello")
    engine = database.open_database(settings.data)
    none = dict.fromkeys(("since_ms", "at_ms", "clear_since_ms", "told_at_ms"), 0)
    with engine.begin() as connection:
        for name, state in (("a", "firing"), ("b", "firing"), ("c", "pending")):
            row = {"alarm": name, "function": "hello", "state": state, "text": "", **none}
            connection.execute(schema.alarm_states.insert().values(**row))
    engine.dispose()
    assert [row["alarms"] for row in await rows(api)] == [2]


async def test_the_status_of_what_is_at_work_leaves_out_who_is_idle(api: ControlApi) -> None:
    for name in ("hello", "idle"):
        api.deploy(name)
    status, _ = await api.call("POST", "/api/v1/functions/hello/invocations", headers={"Faas-Invocation-Type": "async"})
    assert status == 202
    assert set((await api.get("/api/v1/status"))["functions"]) == {"hello", "idle"}
    found = await api.get("/api/v1/status", at_work="true")
    assert {name: each["waiting"] for name, each in found["functions"].items()} == {"hello": 1}
    assert found["drift"] == 0
