"""Records, statistics, statements, log lines and places over the control API, from a real ledger and a real queue."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import AsyncIterator
from importlib import metadata
from typing import Any

import pytest

from faas.cluster import catalog
from faas.core import model, sketches
from faas.core import settings as settings_module
from tests.served_api import ControlApi, serving

DAY_MS = 86_400_000


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


async def ids(api: ControlApi, **query: Any) -> list[str]:
    return [each["invocation_id"] for each in (await api.get("/api/v1/invocations", **query))["records"]]


async def test_records_are_paged_newest_first_without_gap_or_repetition(api: ControlApi) -> None:
    made = [api.record(ended_at_ms=1_000 + n // 3) for n in range(10)]
    kept = [each.invocation_id for each in sorted(made, key=lambda each: (each.ended_at_ms, each.invocation_id))]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = await api.get("/api/v1/invocations", **query)
        seen += [each["invocation_id"] for each in page["records"]]
        api.record(ended_at_ms=9_000)
        if page["next"] is None:
            break
        query["before"] = page["next"]
    assert seen == kept[::-1]


async def test_records_are_filtered_by_function_status_and_moment(api: ControlApi) -> None:
    old = api.record(ended_at_ms=1_000).invocation_id
    failed = api.record(ended_at_ms=2_000, status=model.Status.ERROR).invocation_id
    other = api.record(ended_at_ms=3_000, function="other").invocation_id
    assert await ids(api) == [other, failed, old]
    assert await ids(api, function="hello") == [failed, old]
    assert await ids(api, status="error") == [failed]
    assert await ids(api, since_ms=2_000) == [other, failed]
    assert await ids(api, function="hello", status="ok", since_ms=1_001) == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0}, {"limit": 10_001}, {"limit": "many"}, {"status": "good"}, {"since_ms": -1},
        {"since_ms": 10**30}, {"before": "x"}, {"before": "1.x.y"}, {"before": f"{10**30}.1.x"}, {"since": 1},
    ],
)  # fmt: skip
async def test_a_query_that_means_nothing_is_refused(api: ControlApi, query: dict[str, Any]) -> None:
    status, value = await api.call("GET", "/api/v1/invocations", params=query)
    assert (status, value["error"]["code"]) == (400, "bad_request")
    assert value["error"]["message"].startswith("query: ")


async def test_an_invocation_is_settled_when_its_last_attempt_is_final(api: ControlApi) -> None:
    first = api.record(status=model.Status.LOST, final=False)
    path = f"/api/v1/invocations/{first.invocation_id}"
    assert not (await api.get(path))["settled"]
    api.record(
        invocation_id=first.invocation_id, attempt=2, error=model.Failure("E", "m"), cold_start=model.ColdStart.FULL
    )
    found = await api.get(path)
    assert found["settled"]
    assert [(each["attempt"], each["status"]) for each in found["records"]] == [(1, "lost"), (2, "ok")]
    assert found["records"][1]["error"] == {"type": "E", "message": "m", "stack": []}


def about(value: float) -> Any:
    """Within the stated error."""
    return pytest.approx(value, rel=sketches.ERROR)


async def test_statistics_count_what_ended_since_then(api: ControlApi) -> None:
    for n in range(1, 101):
        api.record(duration_us=n * 1_000, ended_at_ms=65_000)
    api.record(function="other", status=model.Status.OOM, cold_start=model.ColdStart.FULL, init_ms=300)
    hello, other = (await api.get("/api/v1/stats", since_ms=0))["functions"]
    assert (hello["count"], hello["errors"], hello["cold_starts"]) == (100, 0, 0)
    assert hello["duration_ms"] == {
        "p50": about(50), "p90": about(90), "p95": about(95), "p99": about(99), "p999": about(100),
    }  # fmt: skip
    assert (other["function"], other["errors"], other["cold_starts"]) == ("other", 1, 1)
    assert other["init_ms"]["p50"] == about(300)
    # Times begin on a whole minute, and the answer says which.
    found = await api.get("/api/v1/stats", since_ms=65_000, until="70000")
    assert ([each["function"] for each in found["functions"]], found["since_ms"]) == (["hello"], 60_000)
    assert (await api.get("/api/v1/stats", since_ms=0, function="other"))["functions"] == [other]
    assert (await api.get("/api/v1/stats"))["functions"] == []


async def test_figures_over_time_are_given_in_pieces_of_any_name(api: ControlApi) -> None:
    for minute, status in ((0, "ok"), (0, "error"), (7, "ok")):
        api.record(ended_at_ms=minute * 60_000 + 5, status=model.Status(status), duration_us=90, cost_pico=7)
    api.record(function="other", ended_at_ms=61_000)
    found = await api.get("/api/v1/stats", since="0", until="1970-01-01T00:10", every="5m", function="hello")
    (series,) = found["series"]
    assert (found["every_ms"], found["until_ms"], found["total"], series["name"]) == (300_000, 600_000, 1, "hello")
    ranks = dict.fromkeys(("p50", "p90", "p95", "p99", "p999"), 90)
    assert series["points"][0] | {"queue_ms": 0, "init_ms": 0} == {
        "at_ms": 0, "count": 2, "errors": 1, "cold_starts": 0, "billed_ms": 16, "cost_pico": 14, "duration_us": ranks,
        "queue_ms": 0, "init_ms": 0,
    }  # fmt: skip
    assert [point["at_ms"] for point in series["points"]] == [0, 300_000]
    by_status = await api.get("/api/v1/stats", since="0", until="600000", every="600000", by="status")
    assert [(each["name"], each["count"], each["function"]) for each in by_status["functions"]] == [
        ("error", 1, None), ("ok", 3, None),
    ]  # fmt: skip
    assert [each["points"][0]["count"] for each in by_status["series"]] == [1, 3]
    everything = await api.get("/api/v1/stats", since="0", by="all")
    assert (everything["functions"][0]["name"], everything["functions"][0]["count"]) == ("all", 4)


@pytest.mark.parametrize(
    "query",
    [
        {"since": "soon"}, {"until": "-1"}, {"every": "0s"}, {"every": "x"}, {"by": "moon"}, {"sort": "p51"},
        {"limit": 0}, {"since": "0", "every": "1m"}, {"since": "2d", "until": "3d"}, {"quantiles": "some"},
    ],
)  # fmt: skip
async def test_a_query_of_statistics_that_means_nothing_is_refused(api: ControlApi, query: dict[str, Any]) -> None:
    status, value = await api.call("GET", "/api/v1/stats", params=query)
    assert (status, value["error"]["code"]) == (400, "bad_request")


async def test_statistics_are_sorted_before_they_are_cut(api: ControlApi) -> None:
    for name, count, duration_us in (("a", 1, 30), ("b", 3, 10), ("c", 2, 20)):
        for _ in range(count):
            api.record(function=name, duration_us=duration_us, cost_pico=duration_us, status=model.Status.ERROR)

    async def names(**query: Any) -> list[str]:
        found = await api.get("/api/v1/stats", since="0", until="60000", limit=2, **query)
        assert found["total"] == 3
        return [each["name"] for each in found["functions"]]

    assert await names() == ["a", "b"]
    assert await names(sort="calls") == await names(sort="errors") == ["b", "c"]
    assert await names(sort="cost") == ["c", "a"]
    assert await names(sort="p99") == ["a", "c"]
    assert await names(sort="cold") == ["a", "b"]


async def test_a_bill_adds_up_by_function_day_or_trigger(api: ControlApi) -> None:
    for function, trigger, day in (("a", "http", 1), ("a", "timer", 2), ("b", "http", 2)):
        api.record(function=function, trigger=trigger, ended_at_ms=day * DAY_MS + 5, billed_ms=10, cost_pico=1_500_001)

    async def lines(**query: Any) -> dict[str, tuple[int, int]]:
        found = await api.get("/api/v1/bill", **query)
        total = found["total"]
        assert total["cost_pico"] == sum(line["cost_pico"] for line in found["lines"]) == total["count"] * 1_500_001
        assert decimal.Decimal(total["cost_decimal"]) * 10**12 == total["cost_pico"]
        return {line["name"]: (line["count"], line["billed_ms"]) for line in found["lines"]}

    assert await lines() == {"a": (2, 20), "b": (1, 10)}
    assert await lines(by="day") == {"1970-01-02": (1, 10), "1970-01-03": (2, 20)}
    assert await lines(by="trigger") == {"http": (2, 20), "timer": (1, 10)}
    assert await lines(by="function", since_ms=2 * DAY_MS + 7) == {"a": (1, 10), "b": (1, 10)}
    assert await lines(since_ms=3 * DAY_MS) == {}
    assert (await api.call("GET", "/api/v1/bill", params={"by": "moon"}))[0] == 400


async def texts(api: ControlApi, **query: Any) -> list[str]:
    return [line["text"] for line in (await api.get("/api/v1/logs", **query))["lines"]]


async def test_log_lines_are_found_by_function_invocation_moment_and_text(api: ControlApi) -> None:
    lines = tuple(model.LogLine(at_ms, f"line {at_ms}") for at_ms in (10, 20))
    first = api.record(logs=lines)
    api.record(function="other", logs=(model.LogLine(30, "100% of it"),))
    assert await texts(api) == ["line 10", "line 20", "100% of it"]
    assert await texts(api, function="other") == ["100% of it"]
    assert await texts(api, invocation_id=first.invocation_id, since_ms=15) == ["line 20"]
    assert await texts(api, search="0%") == ["100% of it"]
    assert await texts(api, search="0_") == []
    page = await api.get("/api/v1/logs", limit=2)
    assert await texts(api, after_id=page["next_id"]) == ["100% of it"]
    assert (await api.get("/api/v1/logs", function="none"))["next_id"] == 3  # up to there nothing fits
    assert (await api.call("GET", "/api/v1/logs", params={"after_id": 2**63}))[0] == 400


async def test_a_follower_is_answered_when_there_is_a_line(api: ControlApi) -> None:
    waiting = asyncio.create_task(api.get("/api/v1/logs", wait_ms=60_000))
    await api.get("/api/v1/logs")
    assert not waiting.done()
    api.record()
    assert [line["text"] for line in (await waiting)["lines"]] == ["50% done"]
    assert (await api.get("/api/v1/logs", function="none", wait_ms=1))["lines"] == []


async def test_the_status_adds_up_where_the_invocations_of_all_revisions_are(api: ControlApi) -> None:
    old, headers = api.deploy().ref, {"Faas-Invocation-Type": "async"}
    api.deploy("idle")

    async def send() -> None:
        assert (await api.call("POST", "/api/v1/functions/hello/invocations", headers=headers))[0] == 202

    for _ in range(4):
        await send()
    await api.work(old)
    await api.work(old, dead=True)
    async with api.queue() as queue:
        await queue.claim("n1", old, 1)
        new = api.deploy().ref
        await send()
        await api.work(new)
        api.functions.remove("hello")
        found = await api.get("/api/v1/status")
        await queue.link.call("HINCRBY", queue.keys.counts(old), "accepted", 1)
        drifted = await api.get("/api/v1/status")
    assert found["functions"] == {
        "idle": dict.fromkeys(("accepted", "waiting", "running", "retrying", "done", "dead", "drift"), 0),
        "hello": {"accepted": 5, "waiting": 1, "running": 1, "retrying": 0, "done": 2, "dead": 1, "drift": 0},
    }
    assert (found["version"], found["catalog"], found["drift"]) == (metadata.version("faas"), 4, 0)
    assert (drifted["functions"]["hello"]["drift"], drifted["drift"]) == (1, 1)


async def test_the_status_names_the_nodes_whose_lease_holds(api: ControlApi) -> None:
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    state = catalog.NodeState(
        catalog=3, host="h", pid=7, memory_mb=100, memory_used_mb=40, engine="docker", sandboxes={"idle": 2}
    )
    await versions.renew("n1", state, 60_000)
    await versions.close()
    (node,) = (await api.get("/api/v1/status"))["nodes"]
    assert node == {
        "name": "n1", "host": "h", "pid": 7, "catalog": 3, "memory_mb": 100, "memory_used_mb": 40,
        "engine": "docker", "sandboxes": {"idle": 2},
    }  # fmt: skip
