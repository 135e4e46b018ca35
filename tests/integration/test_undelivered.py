"""Undelivered records in the API, the command and the metrics, and chains as people see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import settings as settings_module
from faas.queue import census, outbox
from tests import samples, served_api
from tests.command import faas


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[served_api.ControlApi]:
    async with served_api.serving(settings) as served:
        served.deploy()
        yield served


def given_up(api: served_api.ControlApi, at_ms: int = 7) -> str:
    """Keep one as a scheduler does; the id of its invocation."""
    kept = samples.undelivered(given_up_at_ms=at_ms)
    api.undelivered.keep(kept)
    return kept.invocation.id


async def test_an_undelivered_record_is_found_with_its_event_result_and_reason(api: served_api.ControlApi) -> None:
    name = given_up(api)
    found = await api.get(f"/api/v1/undelivered/{name}")
    assert (found["event"], found["result"], found["condition"]) == ({"n": 1}, 42, "Success")
    assert (found["attempts"], found["reason"]) == (3, "the receiver answered 500")
    async with api.session.get(f"{api.url}/metrics") as answer:
        assert 'faas_undelivered{function="hello"} 1.0' in await answer.text()


async def test_one_that_is_sent_again_by_many_at_once_is_in_its_outbox_once(api: served_api.ControlApi) -> None:
    name = given_up(api)
    path = f"/api/v1/undelivered/{name}/retry"
    answers = await asyncio.gather(*(api.call("POST", path) for _ in range(5)))
    assert {status for status, _ in answers} <= {200, 404}
    async with api.queue() as queue:
        assert list((await outbox.lengths(queue)).values()) == [1]
        assert (await census.held(queue)).is_right
        (box,) = await outbox.lengths(queue)
        (entry,) = await outbox.take(queue, box, "s", 9, 0)
        assert (entry.invocation.id, entry.settled.body, entry.attempt) == (name, b"42", 1)
        async with api.session.get(f"{api.url}/metrics") as answer:
            assert 'faas_destinations_waiting{function="hello",way="success"} 1.0' in await answer.text()
        await outbox.put_away(queue, entry)
    assert (await api.call("GET", f"/api/v1/undelivered/{name}"))[0] == 404


async def test_one_that_is_given_up_again_while_it_is_being_dropped_stays(api: served_api.ControlApi) -> None:
    name = given_up(api)
    found = api.undelivered.get(name)
    assert found is not None
    api.undelivered.keep(msgspec.structs.replace(found, given_up_at_ms=8))
    assert not api.undelivered.drop(name, 7)
    assert api.undelivered.drop(name, 8)


async def test_the_command_lists_shows_retries_and_drops(api: served_api.ControlApi) -> None:
    first, second = given_up(api, 7), given_up(api, 8)

    async def command(*arguments: str) -> str:
        ran = await faas(api.settings.data.root, "undelivered", *arguments)
        assert ran.code == 0, ran
        return ran.out

    listed = json.loads(await command("ls", "--function", "hello", "--json"))
    assert [each["invocation_id"] for each in listed] == [second, first]
    assert "https://example.com/hook" in await command("ls")
    assert json.loads(await command("show", first, "--json"))["reason"] == "the receiver answered 500"
    await command("retry", first)
    assert (await faas(api.settings.data.root, "undelivered", "drop", "--all")).code == 5, "nobody was asked"
    await command("drop", "--all", "--yes")
    assert json.loads(await command("ls", "--json")) == []
    assert (await faas(api.settings.data.root, "undelivered", "drop")).code == 2
    async with api.queue() as queue:
        assert sum((await outbox.lengths(queue)).values()) == 1


async def test_a_chain_is_found_by_its_root_and_each_link_knows_its_parent(api: served_api.ControlApi) -> None:
    root = api.record(ended_at_ms=1)
    child = api.record(ended_at_ms=2, depth=1, parent_id=root.invocation_id, root_id=root.invocation_id)
    leaf = api.record(ended_at_ms=3, depth=2, parent_id=child.invocation_id, root_id=root.invocation_id)
    api.record()
    records = (await api.get("/api/v1/invocations", root_id=root.invocation_id))["records"]
    assert [(each["invocation_id"], each["parent_id"], each["depth"]) for each in records] == [
        (leaf.invocation_id, child.invocation_id, 2),
        (child.invocation_id, root.invocation_id, 1),
        (root.invocation_id, None, 0),
    ]
    shown = json.loads((await faas(api.settings.data.root, "invocations", "show", leaf.invocation_id, "--json")).out)
    assert (shown["parent_id"], shown["root_id"], shown["depth"]) == (child.invocation_id, root.invocation_id, 2)
    plain = (await faas(api.settings.data.root, "invocations", "show", leaf.invocation_id)).out
    assert f"{root.invocation_id}, 2 links before" in plain
    ran = await faas(api.settings.data.root, "records", "--root", root.invocation_id, "--json")
    assert len(json.loads(ran.out)) == 3
