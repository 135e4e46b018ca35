"""Functions over the control API: listed, described, called through the real queue, removed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio

from faas.core import model
from faas.core import settings as settings_module
from faas.queue import keys
from tests.eventually import eventually
from tests.served_api import CONFIG, ControlApi, serving

INVOKE = "/api/v1/functions/hello/invocations"


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings_module.changed(settings, max_event_bytes=1_000, max_waiting_async=2)) as served:
        yield served


async def test_functions_are_listed_by_name_as_they_serve_now(api: ControlApi) -> None:
    assert await api.get("/api/v1/functions") == {"functions": []}
    api.deploy("zeta")
    api.deploy("hello")
    second = api.deploy("hello")
    first, last = (await api.get("/api/v1/functions"))["functions"]
    assert (first["name"], first["revision"], last["name"]) == ("hello", 2, "zeta")
    assert msgspec.convert(first["config"], model.FunctionConfig) == CONFIG
    assert first["created_at_ms"] == second.created_at_ms


async def test_a_function_is_described_with_its_revisions_and_the_places_of_all_of_them(api: ControlApi) -> None:
    first, second = api.deploy(), api.deploy()
    api.functions.add_revision("hello", "b" * 64, CONFIG)
    for _ in range(2):
        await api.call("POST", INVOKE, headers={"Faas-Invocation-Type": "async"})
    await api.work(second.ref)
    api.functions.activate([first], [])
    await api.call("POST", INVOKE, headers={"Faas-Invocation-Type": "async"})
    found = await api.get("/api/v1/functions/hello")
    assert [(each["number"], each["current"]) for each in found["revisions"]] == [(3, False), (2, False), (1, True)]
    assert found["places"] == {
        "accepted": 3, "waiting": 2, "running": 0, "retrying": 0, "done": 1, "dead": 0, "drift": 0,
    }  # fmt: skip


async def test_a_removed_function_is_gone_and_the_nodes_are_told(api: ControlApi) -> None:
    api.deploy()
    kept = api.record()
    async with redis.asyncio.from_url(api.settings.redis.redis_url) as client, client.pubsub() as heard:
        await heard.subscribe(keys.Keys(api.settings.redis.redis_prefix).catalog)
        assert await eventually(lambda: heard.get_message(timeout=0.1))
        assert await api.call("DELETE", "/api/v1/functions/hello") == (200, {"name": "hello", "alarms": []})
        message = await eventually(lambda: heard.get_message(ignore_subscribe_messages=True, timeout=0.1))
    assert int(message["data"]) == api.functions.catalog_version() == 2
    assert await api.get("/api/v1/functions") == {"functions": []}
    assert (await api.call("DELETE", "/api/v1/functions/hello"))[0] == 404
    assert (await api.call("POST", INVOKE))[0] == 404
    assert (await api.get(f"/api/v1/invocations/{kept.invocation_id}"))["settled"]


async def test_a_call_comes_back_with_what_the_handler_returned_and_what_it_cost(api: ControlApi) -> None:
    ref = api.deploy().ref
    figures = {"duration_us": 1_234, "billed_ms": 2, "queue_ms": 7, "cost_pico": 2_500_000, "memory_peak_mb": 31}
    logs = (model.LogLine(5, "hi"),)
    ran = asyncio.create_task(api.work(ref, {"said": ["ü", 1.5, None]}, logs=logs, **figures))
    async with api.session.post(f"{api.url}{INVOKE}", data='{"name": "Ada"}') as answer:
        value = await answer.json()
        assert answer.status == 200
        assert answer.headers["Faas-Invocation-Id"] == value["invocation_id"]
        assert "Faas-Error" not in answer.headers
    call = await ran
    assert (call.event, call.trigger, call.mode) == (b'{"name": "Ada"}', "invoke", model.Mode.SYNC)
    assert (value["invocation_id"], value["status"], value["result"]) == (call.id, "ok", {"said": ["ü", 1.5, None]})
    assert (value["duration_ms"], value["billed_ms"], value["queue_ms"], value["memory_mb"]) == (1.234, 2, 7, 31)
    assert (value["cost_decimal"], value["cost_pico"], value["currency"]) == ("0.0000025", 2_500_000, "USD")
    assert (value["cold_start"], value["error"]) == (False, None)
    assert value["logs"] == [{"at_ms": 5, "text": "hi"}]
    assert value["report"].startswith(f"REPORT RequestId: {call.id}\tDuration: 1.23 ms")
    assert (await api.get("/api/v1/functions/hello"))["places"]["done"] == 1


async def test_bytes_come_back_as_base64_and_an_empty_body_is_the_empty_event(api: ControlApi) -> None:
    ran = asyncio.create_task(api.work(api.deploy().ref, b"\x00\xff"))
    _, value = await api.call("POST", INVOKE)
    assert (value["result"], value["result_is_base64"]) == (base64.b64encode(b"\x00\xff").decode(), True)
    assert (await ran).event == b"{}"


@pytest.mark.parametrize(
    ("status", "fault"),
    [("error", "function"), ("timeout", "function"), ("oom", "function"), ("lost", "platform")],
)
async def test_a_call_that_failed_is_answered_and_says_whose_fault_it_was(
    api: ControlApi, status: str, fault: str
) -> None:
    failure = model.Failure("ValueError", "no", ('File "app.py", line 1',))
    ran = asyncio.create_task(api.work(api.deploy().ref, None, status=model.Status(status), error=failure))
    async with api.session.post(f"{api.url}{INVOKE}") as answer:
        value = await answer.json()
        assert (answer.status, answer.headers["Faas-Error"], value["status"]) == (200, fault, status)
    assert value["error"] == {"type": "ValueError", "message": "no", "stack": ['File "app.py", line 1']}
    await ran


async def test_an_async_call_waits_in_the_queue_when_its_202_comes(api: ControlApi) -> None:
    ref = api.deploy().ref
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    headers = {"Faas-Invocation-Type": "ASYNC", "Faas-Client-Context": context}
    status, value = await api.call("POST", INVOKE, headers=headers, data="[1, 2]")
    assert (status, value["status"]) == (202, "accepted")
    async with api.queue() as queue:
        (claim,) = await queue.claim("n1", ref, 2)
        await queue.release(claim)
    assert (claim.invocation.id, claim.invocation.mode) == (value["invocation_id"], model.Mode.ASYNC)
    assert (claim.invocation.event, claim.invocation.reply_to) == (b"[1, 2]", None)
    assert json.loads(claim.invocation.client_context or "") == {"custom": {"a": "b"}}


@pytest.mark.parametrize(
    ("options", "status", "code", "text"),
    [
        ({"data": "{'a': 1}"}, 400, "bad_request", "the payload is not JSON"),
        ({"data": b'"\xff"'}, 400, "bad_request", "the payload is not JSON"),
        ({"data": "1 2"}, 400, "bad_request", "the payload is not JSON"),
        ({"headers": {"Faas-Invocation-Type": "maybe"}}, 400, "bad_request", "expected sync or async"),
        ({"headers": {"Faas-Client-Context": "%"}}, 400, "bad_request", "expected JSON in base64"),
        ({"headers": {"Faas-Client-Context": "e30"}}, 400, "bad_request", "expected JSON in base64"),
        ({"headers": {"Faas-Client-Context": "e2E="}}, 400, "bad_request", "expected JSON in base64"),
        ({"data": "1" * 1_001}, 413, "too_large", "over 1000 bytes"),
    ],
)
async def test_a_call_that_cannot_be_understood_is_refused_and_not_accepted(
    api: ControlApi, options: dict[str, object], status: int, code: str, text: str
) -> None:
    api.deploy()
    got, value = await api.call("POST", INVOKE, **options)
    assert (got, value["error"]["code"]) == (status, code)
    assert text in value["error"]["message"]
    assert (await api.get("/api/v1/functions/hello"))["places"]["accepted"] == 0


async def test_a_body_of_no_announced_length_is_cut_off_at_the_limit(api: ControlApi) -> None:
    api.deploy()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"1" * 100

    assert (await api.call("POST", INVOKE, data=endless()))[0] == 413
    assert (await api.call("POST", INVOKE, data="1" * 1_001))[1]["error"]["limit"] == 1_000


async def test_more_async_calls_than_may_wait_are_turned_away_with_the_time_to_come_back(api: ControlApi) -> None:
    api.deploy()
    headers = {"Faas-Invocation-Type": "async"}
    statuses = [(await api.call("POST", INVOKE, headers=headers))[0] for _ in range(3)]
    assert statuses == [202, 202, 429]
    async with api.session.post(f"{api.url}{INVOKE}", headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert answer.headers["Faas-Invocation-Id"] == (await answer.json())["error"]["invocation_id"]


async def test_a_sync_call_that_nothing_runs_is_told_so_and_leaves_nothing_waiting(
    settings: settings_module.Settings,
) -> None:
    async with serving(settings_module.changed(settings, max_queue_wait_ms=50)) as api:
        api.deploy(config=msgspec.structs.replace(CONFIG, timeout_ms=50))
        status, value = await api.call("POST", INVOKE)
        assert (status, value["error"]["code"]) == (504, "timed_out")
        assert (await api.get("/api/v1/functions/hello"))["places"] | {"accepted": 1, "done": 1, "waiting": 0} == (
            await api.get("/api/v1/functions/hello")
        )["places"]


async def test_a_caller_that_hangs_up_leaves_nothing_waiting(api: ControlApi) -> None:
    api.deploy()
    call = asyncio.create_task(api.call("POST", INVOKE))

    async def places() -> dict[str, int]:
        found: dict[str, int] = (await api.get("/api/v1/functions/hello"))["places"]
        return found

    async def is_at(place: str) -> bool:
        return (await places())[place] == 1

    await eventually(lambda: is_at("waiting"))
    call.cancel()
    await eventually(lambda: is_at("done"))
    assert (await places())["waiting"] == 0
