"""`/api/v1/traces` and `faas trace`: chains by any of their invocations, what is not over, and lists of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import ids, model
from faas.core import settings as settings_module
from faas.core.calls import calling
from faas.queue import destined, invocations, outbox
from tests import samples
from tests.command import faas
from tests.served_api import ControlApi, serving


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


def chain_of_three(api: ControlApi) -> list[model.Record]:
    """An HTTP call that led to an upload, which led to another."""
    steps = (model.ColdStartStep("start", 300), model.ColdStartStep("import", 20))
    first = api.record(
        function="receive",
        accepted_at_ms=1_000,
        ended_at_ms=1_100,
        cold_start=model.ColdStart.FULL,
        init_ms=320,
        steps=steps,
    )
    of = {"root_id": first.invocation_id, "trigger": "upload", "object": "photos/a.jpg"}
    second = api.record(
        function="resize", parent_id=first.invocation_id, depth=1, accepted_at_ms=1_050, ended_at_ms=1_400, **of
    )
    third = api.record(
        function="tag", parent_id=second.invocation_id, depth=2, accepted_at_ms=1_300, ended_at_ms=2_500,
        status=model.Status.ERROR, dead=True, error=model.Failure("ValueError", "no"), **of,
    )  # fmt: skip
    return [first, second, third]


async def test_a_chain_is_found_by_each_of_its_invocations(api: ControlApi) -> None:
    made = chain_of_three(api)
    api.record()
    for record in made:
        found = await api.get(f"/api/v1/traces/{record.invocation_id}")
        assert found["root_id"] == made[0].invocation_id
        assert [one["function"] for one in found["invocations"]] == ["receive", "resize", "tag"]
        assert [one["state"] for one in found["invocations"]] == ["done", "done", "dead"]
        assert (found["count"], found["cost_pico"]) == (3, 3 * made[0].cost_pico)
        assert (found["began_at_ms"], found["ended_at_ms"], found["is_cut"]) == (1_000, 2_500, False)
        attempt = found["invocations"][0]["attempts"][0]
        assert attempt["steps"] == [{"name": "start", "ms": 300}, {"name": "import", "ms": 20}]


async def test_an_invocation_alone_is_a_chain_of_one(api: ControlApi) -> None:
    made = api.record()
    found = await api.get(f"/api/v1/traces/{made.invocation_id[:20]}")
    assert [one["id"] for one in found["invocations"]] == [made.invocation_id]
    status, _ = await api.call("GET", f"/api/v1/traces/{ids.new_id()}")
    assert status == 404


async def send(queue: invocations.Queue, revision: model.Revision, chain: calling.Chain) -> model.Invocation:
    made = calling.invocation(
        revision, id=ids.new_id(), way="upload", mode=model.Mode.ASYNC, event=b"{}", at_ms=1_000, chain=chain
    )
    await queue.enqueue(made)
    return made


async def test_what_waits_runs_or_is_due_is_part_of_its_chain(api: ControlApi) -> None:
    first, revision, other = ids.new_id(), api.deploy(), api.deploy("other")
    chain = calling.Chain(1, first, first)
    async with api.queue() as queue:
        runs = await send(queue, revision, chain)
        (claim,) = await queue.claim("n1", revision.ref, 1)
        assert claim.invocation.id == runs.id
        waits = await send(queue, revision, chain)
        await send(queue, revision, calling.Chain(1, ids.new_id(), ids.new_id()))
        later = msgspec.structs.replace(waits, id=ids.new_id(), function="other", revision=other.number)
        await queue.enqueue(later, delay_ms=60_000)
        for asked in (first, waits.id, runs.id, later.id):
            found = await api.get(f"/api/v1/traces/{asked}")
            states = {one["id"]: one["state"] for one in found["invocations"]}
            assert states == {first: "running", runs.id: "running", waits.id: "waiting", later.id: "scheduled"}
        by_id = {one["id"]: one for one in found["invocations"]}
        assert by_id[runs.id]["node"] == "n1"
        assert by_id[later.id]["due_at_ms"] > 1_000
        assert by_id[first]["function"] is None
        assert found["ended_at_ms"] is None
        record = msgspec.structs.replace(samples.record(runs), root_id=first, parent_id=first)
        await queue.finish_claimed(claim, record, node="n1")
        found = await api.get(f"/api/v1/traces/{first}")
        assert {one["id"]: one["state"] for one in found["invocations"]}[runs.id] == "done"


async def test_an_event_that_names_an_invocation_is_not_of_its_chain(api: ControlApi) -> None:
    first, revision = api.record(), api.deploy()
    async with api.queue() as queue:
        stranger = calling.invocation(
            revision, id=ids.new_id(), way="invoke", mode=model.Mode.ASYNC, at_ms=1,
            event=msgspec.json.encode({"about": first.invocation_id}),
        )  # fmt: skip
        await queue.enqueue(stranger)
        found = await api.get(f"/api/v1/traces/{first.invocation_id}")
    assert [one["id"] for one in found["invocations"]] == [first.invocation_id]


async def test_of_a_backlog_without_end_only_a_part_is_searched_and_that_is_said(
    api: ControlApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faas.queue import whereabouts

    monkeypatch.setattr(whereabouts, "_CHAIN_ENTRIES", 40)
    first, revision = api.record(), api.deploy()
    async with api.queue() as queue:
        for _ in range(60):
            await send(queue, revision, calling.Chain(1, ids.new_id(), ids.new_id()))
        found = await api.get(f"/api/v1/traces/{first.invocation_id}")
        assert found["is_cut"]


async def test_a_record_that_could_not_be_delivered_is_told_with_its_invocation(api: ControlApi) -> None:
    given_up = samples.undelivered()
    api.undelivered.keep(given_up)
    api.record(invocation_id=given_up.invocation.id, mode=model.Mode.ASYNC)
    found = await api.get(f"/api/v1/traces/{given_up.invocation.id}")
    assert found["invocations"][0]["undelivered"]["destination"] == given_up.destination


async def test_a_record_that_waits_for_its_destination_is_told_with_its_invocation(api: ControlApi) -> None:
    of = samples.undelivered()
    settled = msgspec.msgpack.decode(of.settled, type=destined.Settled)
    api.record(invocation_id=of.invocation.id, mode=model.Mode.ASYNC)
    async with api.queue() as queue:
        await outbox.put_back(queue, settled, of.invocation, 1)
        found = await api.get(f"/api/v1/traces/{of.invocation.id}")
        text = await told(api, "trace", of.invocation.id)
    assert (found["invocations"][0]["delivering"], found["ended_at_ms"]) == (settled.way, None)
    assert f"waits for its destination (on_{settled.way})" in text


async def test_chains_are_listed_by_what_they_took(api: ControlApi) -> None:
    made = chain_of_three(api)
    quick = api.record(accepted_at_ms=5_000, ended_at_ms=5_001, cost_pico=1)
    api.record(root_id=quick.invocation_id, parent_id=quick.invocation_id, accepted_at_ms=5_000, ended_at_ms=5_002)
    for order, first in (("slowest", made[0]), ("costliest", made[0]), ("latest", quick)):
        found = await api.get("/api/v1/traces", order=order)
        assert found["traces"][0]["root_id"] == first.invocation_id
    found = await api.get("/api/v1/traces", order="slowest", since_ms=4_000)
    assert [(each["root_id"], each["count"], each["duration_ms"]) for each in found["traces"]] == [
        (quick.invocation_id, 2, 2)
    ]
    (slow,) = (await api.get("/api/v1/traces", order="slowest", limit=1))["traces"]
    assert (slow["function"], slow["status"], slow["duration_ms"]) == ("receive", "error", 1_500)
    status, _ = await api.call("GET", "/api/v1/traces", params={"order": "loudest"})
    assert status == 400


async def told(api: ControlApi, *arguments: str) -> str:
    done = await faas(api.settings.data.root, *arguments)
    assert done.code == 0, done.err
    return done.out


async def test_the_command_prints_the_tree(api: ControlApi) -> None:
    made = chain_of_three(api)
    lines = (await told(api, "trace", made[2].invocation_id)).splitlines()
    assert lines[0].split() == ["root", made[0].invocation_id]
    rows = [line for line in lines if "@1" in line]
    assert ["receive@1 http" in rows[0], "└─ resize@1 photos/a.jpg" in rows[1], "   └─ tag@1" in rows[2]] == [True] * 3
    assert "start 300, import 20" in rows[0]
    assert "error, dead" in rows[2]
    listed = await told(api, "trace", "--slowest")
    assert made[0].invocation_id in listed


async def test_the_command_shows_what_is_not_over(api: ControlApi) -> None:
    first, revision = api.record(), api.deploy()
    async with api.queue() as queue:
        await send(queue, revision, calling.Chain(1, first.invocation_id, first.invocation_id))
        text = await told(api, "trace", first.invocation_id)
    assert "has not ended" in text
    assert "waiting" in text
