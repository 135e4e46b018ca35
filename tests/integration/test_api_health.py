"""The facts as the control API tells them: quick ones, thorough ones, and with Redis or the database away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from faas.core import settings as settings_module
from tests.served_api import ControlApi, serving


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        yield served


async def facts(api: ControlApi, **query: str) -> dict[str, dict[str, Any]]:
    answer = await api.get("/api/v1/health", **query)
    found = {fact["name"]: fact for fact in answer["facts"]}
    assert answer["ok"] == all(fact["state"] in ("ok", "warning") for fact in found.values())
    return found


async def test_each_fact_is_told_with_what_to_do(api: ControlApi) -> None:
    found = await facts(api)
    assert {"redis", "durability", "clock", "bounds", "disk", "conservation", "nodes", "docker", "journals"} <= set(
        found
    )
    assert {found[name]["state"] for name in ("redis", "bounds", "conservation", "ledger")} == {"ok"}
    assert (found["nodes"]["state"], found["nodes"]["hint"]) == ("failed", "start one with `faas up`")


async def test_a_wrong_counter_is_found_by_a_thorough_look_only(api: ControlApi) -> None:
    async with api.queue() as queue:
        await queue.link.call("HINCRBY", queue.keys.held, "entries", 3)
    assert (await facts(api))["bounds"]["state"] == "ok"
    found = (await facts(api, thorough="true"))["bounds"]
    assert found["state"] == "failed"
    assert found["text"].startswith("the counter says 3 invocations")
    assert "in truth 0 invocations" in found["text"]


async def test_bounds_that_are_nearly_reached_are_a_warning(api: ControlApi) -> None:
    async with api.queue() as queue:
        await queue.link.call("HINCRBY", queue.keys.held, "bytes", api.settings.queues.max_waiting_bytes * 9 // 10)
    found = (await facts(api))["bounds"]
    assert (found["state"], "max_waiting" in found["hint"]) == ("warning", True)


async def test_work_that_no_node_looked_for_is_told_and_then_looked_for(api: ControlApi) -> None:
    await api.call("POST", "/api/v1/functions/hello/invocations", headers={"Faas-Invocation-Type": "async"})
    async with api.queue() as queue:
        await queue.link.call("DEL", queue.keys.active)
    found = (await facts(api, thorough="true"))["queues"]
    assert (found["state"], "hello@1" in found["text"]) == ("warning", True)
    assert "queues" not in await facts(api, thorough="true")


async def test_without_redis_what_needs_it_is_unknown_and_the_rest_is_told(
    settings: settings_module.Settings,
) -> None:
    async with serving(settings_module.changed(settings, redis_url="redis://127.0.0.1:1/0")) as api:
        for query in ({}, {"thorough": "true"}):
            found = await facts(api, **query)
            assert found["redis"]["state"] == "failed"
            assert {found[name]["state"] for name in ("bounds", "conservation", "nodes")} == {"unknown"}
            assert found["disk"]["state"] in ("ok", "warning")
            assert found["ledger"]["state"] == "ok"
