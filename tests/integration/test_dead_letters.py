"""Dead letters from the last attempt to the ledger and back into the queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from faas import recorder
from faas.core import model
from faas.core import settings as settings_module
from tests import samples, served_api
from tests.command import faas
from tests.eventually import eventually


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[served_api.ControlApi]:
    async with served_api.serving(settings) as served:
        served.deploy()
        stop = asyncio.Event()
        recording = asyncio.create_task(recorder.run(settings.data, settings.redis, settings.queues, stop))
        yield served
        stop.set()
        await recording
        async with served.queue() as queue:
            assert not any(counts.drift for counts in (await queue.counts()).values())


async def dead(api: served_api.ControlApi, event: bytes) -> str:
    """Let one invocation fail for good, and wait until its letter is there."""
    path = "/api/v1/functions/hello/invocations"
    _, value = await api.call("POST", path, data=event, headers={"Faas-Invocation-Type": "async"})
    name = str(value["invocation_id"])
    async with api.queue() as queue:
        (claim,) = await queue.claim("n1", "hello@1", 1)
        record = samples.record(claim.invocation, model.Status.ERROR, dead=True)
        await queue.finish_claimed(claim, record, node="n1")

    async def there() -> bool:
        return (await api.call("GET", f"/api/v1/dead-letters/{name}"))[0] == 200

    await eventually(there, within=20)
    return name


async def test_what_failed_for_good_keeps_its_event_and_its_history(api: served_api.ControlApi) -> None:
    name = await dead(api, b'{"n": 1}')
    letter = await api.get(f"/api/v1/dead-letters/{name}")
    assert (letter["event"], letter["status"], letter["attempts"]) == ({"n": 1}, "error", 1)
    assert [record["dead"] for record in letter["records"]] == [True]
    found = await api.get(f"/api/v1/invocations/{name}")
    assert (found["status"], found["event"]) == ("dead", {"n": 1})


async def test_a_dead_letter_that_is_retried_twice_runs_once_more(api: served_api.ControlApi) -> None:
    name = await dead(api, b'{"n": 2}')
    path = f"/api/v1/dead-letters/{name}/retry"
    answers = await asyncio.gather(*(api.call("POST", path) for _ in range(3)))
    (again,) = {value["retried_as"] for _, value in answers}
    async with api.queue() as queue:
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=2, waiting=1, dead=1)
        (claim,) = await queue.claim("n1", "hello@1", 5)
        assert (claim.invocation.id, claim.invocation.event, claim.invocation.attempt) == (again, b'{"n": 2}', 1)
        await queue.finish_claimed(claim, samples.record(claim.invocation), node="n1")
    assert (await api.call("POST", path))[1]["retried_as"] == again
    async with api.queue() as queue:
        assert (await queue.counts())["hello@1"] == model.Counts(accepted=2, done=1, dead=1)


async def command(api: served_api.ControlApi, *arguments: str) -> Any:
    ran = await faas(api.settings.data.root, "dlq", *arguments)
    assert ran.code == 0, ran
    return ran


async def test_the_command_lists_retries_and_drops(api: served_api.ControlApi) -> None:
    first, second = await dead(api, b"1"), await dead(api, b"2")
    listed = (await command(api, "ls", "--function", "hello", "--json")).json
    assert {each["invocation_id"] for each in listed} == {first, second}
    assert len((await command(api, "retry", first, "--json")).json) == 1
    retried = (await command(api, "retry", "--all", "--json")).json
    assert [each["invocation_id"] for each in retried] == [second]
    assert (await faas(api.settings.data.root, "dlq", "drop", "--all")).code == 5, "nobody was asked"
    assert len(json.loads((await command(api, "ls", "--json")).out)) == 2
    await command(api, "drop", "--function", "hello", "--yes")
    assert (await command(api, "ls", "--json")).json == []
    assert (await faas(api.settings.data.root, "dlq", "drop")).code == 2
    assert (await faas(api.settings.data.root, "dlq", "show", first)).code == 4
