"""Asking for async invocations and taking them back, over a control API that serves and a queue that is real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from faas.core import ids, model
from faas.core import settings as settings_module
from faas.queue import bounds, invocations, retrying, shipping, whereabouts
from tests import samples, served_api
from tests.command import faas


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[served_api.ControlApi]:
    async with served_api.serving(settings) as served:
        served.deploy()
        yield served
        async with served.queue() as queue:
            assert not any(counts.drift for counts in (await queue.counts()).values())


async def send(api: served_api.ControlApi) -> str:
    status, value = await api.call(
        "POST", "/api/v1/functions/hello/invocations", data=b"{}", headers={"Faas-Invocation-Type": "async"}
    )
    assert (status, value["status_url"]) == (202, f"/api/v1/invocations/{value['invocation_id']}")
    return str(value["invocation_id"])


async def state(api: served_api.ControlApi, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await api.get(f"/api/v1/invocations/{name}")
    return found


async def put_off(queue: invocations.Queue) -> None:
    """Fail the attempt that waits, with another due in a minute."""
    (claim,) = await queue.claim("n1", "hello@1", 1)
    record = msgspec.structs.replace(
        samples.record(claim.invocation, model.Status.ERROR), final=False, error=model.Failure("ValueError", "no")
    )
    again = msgspec.structs.replace(claim.invocation, attempt=2)
    await retrying.send(queue, claim, record, again, 60_000)


async def test_an_async_call_is_known_in_every_place_that_it_passes(api: served_api.ControlApi) -> None:
    name = await send(api)
    assert await line(api) == Line(name, "waiting", 0)
    async with api.queue() as queue:
        await put_off(queue)
        found = await state(api, name)
        assert (found["status"], found["attempts"], found["why"]) == ("retrying", 1, "ValueError: no")
        assert found["event"] == {}
        assert found["due_at_ms"] > 0 and not found["settled"]
        status, value = await api.call("POST", f"/api/v1/invocations/{name}/retry")
        assert (status, value["status"]) == (200, "due")
        assert (await retrying.move_due(queue))[0] == 1
        assert (await state(api, name))["status"] == "waiting"
        (claim,) = await queue.claim("n1", "hello@1", 1)
        found = await state(api, name)
        assert (found["status"], found["node"], found["attempts"]) == ("running", "n1", 2)
        record = samples.record(claim.invocation)
        outcome = msgspec.msgpack.encode(model.Outcome(record=record, body=b'{"ok": 1}'))
        await queue.finish_claimed(claim, record, node="n1", reply=outcome)
    found = await state(api, name)
    assert (found["status"], found["settled"], found["result"], found["result_kept"]) == ("done", True, {"ok": 1}, True)
    assert "event" not in found
    assert [each["attempt"] for each in found["records"]] == [2]


class Line(msgspec.Struct):
    id: str
    status: str
    attempts: int


async def line(api: served_api.ControlApi) -> Line:
    (found,) = (await api.get("/api/v1/functions/hello/invocations"))["invocations"]
    return Line(found["invocation_id"], found["status"], found["attempts"])


@pytest.mark.parametrize(("dead", "status"), [(False, "done"), (True, "dead")])
async def test_what_is_settled_is_listed_before_the_ledger_has_it(
    api: served_api.ControlApi, dead: bool, status: str
) -> None:
    name = await send(api)
    async with api.queue() as queue:
        await put_off(queue)
        await queue.link.call("ZADD", queue.keys.retrying, "XX", 0, f"async hello@1 {name}")
        await retrying.move_due(queue)
        (claim,) = await queue.claim("n1", "hello@1", 1)
        other = samples.ended(function="other", logs=(model.LogLine(1, "x" * 100_000),))
        for place in range(12):
            shipped = shipping.Shipment("n1", place, place + 1, msgspec.msgpack.encode([other]), {"other@1": 1})
            await shipping.send(queue, shipped)
        await queue.finish_claimed(claim, samples.record(claim.invocation, dead=dead), node="n1")
    assert await line(api) == Line(name, status, 2)


async def test_a_list_looks_through_a_bounded_part_of_what_the_ledger_does_not_have(api: served_api.ControlApi) -> None:
    """No recorder runs here."""
    name = await send(api)
    async with api.queue() as queue:
        (claim,) = await queue.claim("n1", "hello@1", 1)
        await queue.finish_claimed(claim, samples.record(claim.invocation), node="n1")
        other = samples.ended(function="other", logs=(model.LogLine(1, "x" * 200_000),))
        await queue.link.call("XADD", queue.keys.records, "*", "r", b"\xc1 no record")
        for place in range(40):
            shipped = shipping.Shipment("n1", place, place + 1, msgspec.msgpack.encode([other]), {"other@1": 1})
            await shipping.send(queue, shipped)
        assert await whereabouts.unrecorded(queue, "hello") == []
        assert len(await whereabouts.unrecorded(queue, "other")) < 20
        assert (await state(api, name))["status"] == "done"


async def test_one_that_waits_is_cancelled_and_never_runs(api: served_api.ControlApi) -> None:
    name = await send(api)
    assert (await api.call("POST", f"/api/v1/invocations/{name}/cancel"))[0] == 200
    async with api.queue() as queue:
        assert await queue.claim("n1", "hello@1", 1) == []
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=1, done=1)
    found = await state(api, name)
    assert (found["status"], found["records"][0]["error"]["type"]) == ("done", "Cancelled")
    status, value = await api.call("POST", f"/api/v1/invocations/{name}/cancel")
    assert (status, value["error"]["code"]) == (409, "conflict")


async def test_one_that_is_due_later_is_cancelled(api: served_api.ControlApi) -> None:
    name = await send(api)
    async with api.queue() as queue:
        await put_off(queue)
        assert (await api.call("POST", f"/api/v1/invocations/{name}/cancel"))[0] == 200
        assert await queue.counts() == {"hello@1": model.Counts(accepted=1, done=1)}
        assert await retrying.move_due(queue) == (0, None)


async def test_one_that_runs_is_not_cancelled(api: served_api.ControlApi) -> None:
    name = await send(api)
    async with api.queue() as queue:
        await queue.claim("n1", "hello@1", 1)
        status, value = await api.call("POST", f"/api/v1/invocations/{name}/cancel")
        assert (status, value["error"]["code"]) == (409, "conflict")
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=1, running=1)


async def test_what_nobody_sent_is_not_found(api: served_api.ControlApi) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        assert (await api.call(method, f"/api/v1/invocations/{ids.new_id()}{path}"))[0] == 404


async def ended(queue: invocations.Queue) -> str:
    """One async invocation from its beginning to an outcome of 500 bytes; its id."""
    sent = model.Invocation(
        id=ids.new_id(), function="f", revision=1, trigger="invoke", mode=model.Mode.ASYNC, event=b"1",
        accepted_at_ms=1,
    )  # fmt: skip
    await queue.enqueue(sent)
    (claim,) = await queue.claim("n1", "f@1", 1)
    await queue.finish_claimed(claim, samples.record(sent), node="n1", reply=b"x" * 500)
    return sent.id


@pytest.mark.parametrize("keeping", [bounds.KeptOutcomes(most=2), bounds.KeptOutcomes(most_bytes=1_200)])
async def test_no_more_outcomes_are_kept_than_may_be(redis_url: str, prefix: str, keeping: bounds.KeptOutcomes) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix, keeping=keeping)
    for _ in range(3):
        await ended(queue)
    assert len(await queue.link.call("KEYS", f"{prefix}:call:*")) == 2
    assert await queue.link.call("GET", f"{queue.keys.kept}:bytes") == b"1000"
    queue.close()


async def test_outcomes_whose_time_is_over_leave_the_count(redis_url: str, prefix: str) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix, keeping=bounds.KeptOutcomes(for_ms=60_000))
    for _ in range(3):
        await queue.link.call("DEL", queue.keys.call(await ended(queue)))  # as when its time is over
    assert await queue.link.call("GET", f"{queue.keys.kept}:bytes") == b"500"
    assert await queue.link.call("PTTL", queue.keys.kept) > 0
    queue.close()


async def test_the_command_lists_what_waits_and_what_the_ledger_knows(api: served_api.ControlApi) -> None:
    past = api.record(attempt=2)
    name = await send(api)
    where = ("--data-dir", str(api.settings.data.root))
    elsewhere = api.settings.data.root.parent
    ran = await faas(elsewhere, "invocations", "ls", "--function", "hello", "--limit", "5", "--json", *where)
    assert {(each["invocation_id"], each["status"], each["attempts"]) for each in ran.json} == {
        (name, "waiting", 0), (past.invocation_id, "done", 2),
    }  # fmt: skip


async def test_a_delayed_call_waits_until_it_is_due(api: served_api.ControlApi) -> None:
    path = "/api/v1/functions/hello/invocations"
    status, value = await api.call("POST", path, data=b"{}", headers={"Faas-Delay": "10m"})
    assert status == 202
    found = await state(api, value["invocation_id"])
    assert (found["status"], found["attempts"]) == ("scheduled", 0)
    async with api.queue() as queue:
        assert await queue.claim("n1", "hello@1", 1) == []
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=1, retrying=1)
    assert (await api.call("POST", path, data=b"{}", headers={"Faas-Delay": "soon"}))[0] == 400
    ran = await faas(api.settings.data.root, "invoke", "hello", "--delay", "90s", "--json")
    assert (await state(api, ran.json["invocation_id"]))["due_at_ms"] > found["due_at_ms"] - 600_000


@pytest.mark.parametrize("depth", [20_000, 400_000])
@pytest.mark.parametrize("to", ["", ":batch"])
async def test_an_event_that_is_nested_too_deeply_is_refused_small_or_large(
    api: served_api.ControlApi, to: str, depth: int
) -> None:
    path = f"/api/v1/functions/hello/invocations{to}"
    status, value = await api.call("POST", path, data=b"[" * depth + b"]" * depth)
    assert (status, value["error"]["code"]) == (400, "bad_request"), value


async def test_a_large_event_comes_as_it_was_sent(api: served_api.ControlApi) -> None:
    event = b"[" + b", ".join([b"1"] * 100_000) + b"]"
    headers = {"Faas-Invocation-Type": "async"}
    status, value = await api.call("POST", "/api/v1/functions/hello/invocations", data=event, headers=headers)
    assert status == 202, value
    async with api.queue() as queue:
        (claim,) = await queue.claim("n1", "hello@1", 1)
        assert claim.invocation.event == event
        await queue.finish_claimed(claim, samples.record(claim.invocation), node="n1")
    status, value = await api.call("POST", "/api/v1/functions/hello/invocations", data=event[:-1], headers=headers)
    assert (status, value["error"]["code"]) == (400, "bad_request"), value


async def test_each_event_of_a_batch_has_an_outcome_of_its_own(settings: settings_module.Settings) -> None:
    async with served_api.serving(settings_module.changed(settings, max_waiting_async=2)) as api:
        api.deploy()
        path = "/api/v1/functions/hello/invocations:batch"
        status, value = await api.call("POST", path, data=b'[1, {"n": 2}, "three"]')
        assert status == 202
        assert [each["status"] for each in value["results"]] == ["accepted", "accepted", "refused"]
        assert value["results"][2]["error"]["code"] == "throttled"
        async with api.queue() as queue:
            claims = await queue.claim("n1", "hello@1", 5)
            assert {claim.invocation.id: claim.invocation.event for claim in claims} == {
                value["results"][0]["invocation_id"]: b"1", value["results"][1]["invocation_id"]: b'{"n": 2}',
            }  # fmt: skip
        status, value = await api.call("POST", path, data=b"[1, 2]", headers={"Faas-Delay": "1m"})
        assert (status, [each["status"] for each in value["results"]]) == (202, ["accepted", "accepted"])
        assert (await state(api, value["results"][1]["invocation_id"]))["status"] == "scheduled"
        assert (await api.call("POST", path, data=b"[]"))[1] == {"results": []}
        for wrong in (b"{}", b"[" + b",".join([b"1"] * 1_001) + b"]"):
            assert (await api.call("POST", path, data=wrong))[0] == 400
        assert (await api.call("POST", "/api/v1/functions/nobody/invocations:batch", data=b"[]"))[0] == 404
