"""``GET /api/v1/events``: records, lines and places as they come, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from faas.api.live import hub
from faas.core import model
from faas.core import settings as settings_module
from tests import samples
from tests.eventually import eventually
from tests.served_api import ControlApi, serving


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


class Stream:
    """The events of one response, as they come."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self, *types: str) -> tuple[str, Any]:
        """The next event of one of the types."""
        async with asyncio.timeout(20):
            while True:
                fields = dict[str, str]()
                while line := (await self.answer.content.readline()).decode().rstrip("\n"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                if self.answer.content.at_eof():
                    raise EOFError
                if fields.get("event") in types:
                    return fields["event"], json.loads(fields["data"])


@contextlib.asynccontextmanager
async def listening(
    api: ControlApi, session: aiohttp.ClientSession | None = None, **query: Any
) -> AsyncIterator[Stream]:
    async with (session or api.session).get(f"{api.url}/api/v1/events", params=query) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        yield Stream(answer)


async def finish(api: ControlApi, **changes: Any) -> None:
    """Put a record where finished attempts go."""
    async with api.queue() as queue:
        record = samples.ended(**changes)
        await queue.link.call("XADD", queue.keys.records, "*", "r", msgspec.msgpack.encode(record))


async def test_places_and_nodes_come_each_second(api: ControlApi) -> None:
    async with listening(api) as stream:
        first, second = [(await stream.next("status"))[1] for _ in range(2)]
    assert {"waiting", "running", "functions", "nodes"} < first.keys()
    assert second["at_ms"] > first["at_ms"]


async def test_a_record_comes_as_it_ends_and_without_what_it_printed(api: ControlApi) -> None:
    async with listening(api, types="record") as stream, listening(api, types="record") as other:
        await eventually(lambda: _listens(api, 2))
        await finish(api, function="hello", logs=(model.LogLine(1, "a secret line"),))
        (_, told), (_, again) = await stream.next("record"), await other.next("record")
    assert told == again
    assert (told["function"], "logs" in told, "secret" in json.dumps(told)) == ("hello", False, False)
    assert isinstance(told["cost_pico"], int)


async def _listens(api: ControlApi, most: int) -> bool:
    """Whether the records are followed: the connection blocks on the stream."""
    async with api.queue() as queue:
        clients = (await queue.link.call("CLIENT", "LIST")).decode()
    return "cmd=xread " in clients


async def test_only_records_of_the_function_that_is_asked_for_come(api: ControlApi) -> None:
    async with listening(api, types="record", function="one") as stream:
        await eventually(lambda: _listens(api, 1))
        await finish(api, function="other")
        await finish(api, function="one")
        assert (await stream.next("record"))[1]["function"] == "one"


async def test_lines_come_when_they_are_asked_for(api: ControlApi) -> None:
    async with listening(api, function="hello") as stream:
        await stream.next("status")
        await asyncio.to_thread(
            api.record, function="hello", logs=(model.LogLine(1, "first"), model.LogLine(2, "second"))
        )
        lines = [(await stream.next("log"))[1] for _ in range(2)]
    assert [line["text"] for line in lines] == ["first", "second"]
    assert {"id", "at_ms", "function", "revision", "invocation_id", "attempt"} <= lines[0].keys()


@pytest.mark.parametrize("query", [{"types": "nonsense"}, {"nonsense": "1"}])
async def test_a_wish_for_what_there_is_not_is_refused(api: ControlApi, query: dict[str, str]) -> None:
    async with api.session.get(f"{api.url}/api/v1/events", params=query) as answer:
        assert answer.status == 400


async def test_it_ends_with_the_session(api: ControlApi) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": api.url}) as browser:
        async with browser.post(f"{api.url}/api/v1/login", json={"token": api.token}) as answer:
            assert answer.status == 200
        async with listening(api, browser) as stream:
            await stream.next("status")
            async with browser.delete(f"{api.url}/api/v1/session", headers={"Faas-Page": "1"}) as answer:
                assert answer.status == 204
            with pytest.raises(EOFError):
                while True:
                    await stream.next("status")


async def test_listeners_end_at_once_when_the_control_api_does(settings: settings_module.Settings) -> None:
    loop, stack = asyncio.get_running_loop(), contextlib.AsyncExitStack()
    api = await stack.enter_async_context(serving(settings))
    async with aiohttp.ClientSession(headers=api.session.headers) as session, listening(api, session) as stream:
        await stream.next("status")
        began = loop.time()
        await stack.aclose()
        assert loop.time() - began < 3
        with pytest.raises(EOFError):
            while True:
                await stream.next("status")


async def test_more_listeners_than_there_may_be_are_refused(api: ControlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_LISTENERS", 1)
    async with listening(api) as stream:
        await stream.next("status")
        async with api.session.get(f"{api.url}/api/v1/events") as answer:
            assert answer.status == 503
