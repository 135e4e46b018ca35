"""The control API while Redis or the database is away: one clear 503, and back again without a restart."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from faas.core import settings as settings_module
from faas.store import database
from faas.valkey import embedded
from tests.eventually import eventually
from tests.served_api import ControlApi, serving

INVOKE = "/api/v1/functions/hello/invocations"
NEED_REDIS = (
    ("GET", "/api/v1/functions/hello", {}),
    ("DELETE", "/api/v1/functions/hello", {}),
    ("POST", INVOKE, {}),
    ("POST", INVOKE, {"headers": {"Faas-Invocation-Type": "async"}}),
    ("GET", "/api/v1/status", {}),
    ("GET", "/api/v1/deployments/x", {}),
)
NEED_SQL = (
    ("GET", "/api/v1/functions"),
    ("GET", "/api/v1/functions/hello"),
    ("DELETE", "/api/v1/functions/hello"),
    ("POST", INVOKE),
    ("GET", "/api/v1/invocations"),
    ("GET", "/api/v1/invocations/x"),
    ("GET", "/api/v1/stats"),
    ("GET", "/api/v1/overview"),
    ("GET", "/api/v1/bill"),
    ("GET", "/api/v1/logs"),
    ("GET", "/api/v1/status"),
    ("GET", "/metrics"),
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedServer]:
    """A Redis of the test's own, that it may stop."""
    server = embedded.EmbeddedServer(tmp_path / "redis")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def api(server: embedded.EmbeddedServer, settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings_module.changed(settings, redis_url=server.url)) as served:
        served.deploy()
        yield served


async def is_unavailable(api: ControlApi, method: str, path: str, text: str, **options: Any) -> None:
    async with api.session.request(method, f"{api.url}{path}", **options) as answer:
        assert answer.status == 503, (method, path, await answer.text())
        assert answer.headers["Retry-After"] == "1"
        error = (await answer.json())["error"]
    assert error["code"] == "unavailable"
    assert text in error["message"], (method, path)
    assert len(error["message"].splitlines()) == 1


async def everything_answers(api: ControlApi) -> None:
    ref = (await api.get("/api/v1/functions/hello"))["revision"]
    ran = asyncio.create_task(api.work(f"hello@{ref}", "back"))
    assert (await api.call("POST", INVOKE))[1]["result"] == "back"
    await ran
    assert (await api.get("/api/v1/status"))["drift"] == 0
    assert (await api.call("GET", "/api/v1/deployments/x"))[0] == 404
    async with api.session.get(f"{api.url}/metrics") as answer:
        assert answer.status == 200
    assert (await api.call("DELETE", "/api/v1/functions/hello"))[0] == 200


async def test_without_redis_what_needs_it_says_so_and_is_back_when_redis_is(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    ran = asyncio.create_task(api.work("hello@1", 1))
    await api.call("POST", INVOKE)
    await ran
    await server.stop()
    for method, path, options in NEED_REDIS:
        await is_unavailable(api, method, path, "Redis", **options)
    await is_unavailable(api, "GET", "/metrics", "Redis")
    assert [each["name"] for each in (await api.get("/api/v1/functions"))["functions"]] == ["hello"]
    assert (await api.get("/api/v1/stats"))["functions"] == []
    await server.start()
    await everything_answers(api)


async def test_without_redis_each_event_of_a_batch_is_refused_by_name_and_none_waits(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    await api.call("POST", f"{INVOKE}:batch", data=b"[1]")
    await server.stop()
    for fields in ({}, {"Faas-Delay": "1m"}):
        status, value = await api.call("POST", f"{INVOKE}:batch", data=b"[1, 2]", headers=fields)
        assert status == 202
        assert [(each["status"], each["error"]["code"]) for each in value["results"]] == [
            ("refused", "unavailable")
        ] * 2
    await server.start()
    assert (await api.get("/api/v1/status"))["functions"]["hello"]["waiting"] == 1


async def test_an_api_that_started_before_redis_serves_when_redis_is_there(
    server: embedded.EmbeddedServer, settings: settings_module.Settings
) -> None:
    await server.stop()
    async with serving(settings_module.changed(settings, redis_url=server.url)) as api:
        api.deploy()
        await is_unavailable(api, "POST", INVOKE, "does not answer")
        await server.start()
        await everything_answers(api)


async def test_a_caller_that_waits_while_redis_dies_is_told_so(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    waiting = asyncio.create_task(api.call("POST", INVOKE))

    async def is_accepted() -> bool:
        return bool((await api.get("/api/v1/status"))["functions"]["hello"]["waiting"])

    await eventually(is_accepted)
    await server.stop()
    status, value = await waiting
    assert (status, value["error"]["code"]) == (503, "unavailable")
    assert value["error"]["invocation_id"]
    await server.start()
    assert (await api.get("/api/v1/status"))["functions"]["hello"]["waiting"] == 1


async def test_a_redis_that_is_stopped_and_says_nothing_is_as_good_as_none(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    await api.get("/api/v1/status")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await is_unavailable(api, "GET", "/api/v1/status", "Redis has not answered within 5 s")
        await is_unavailable(api, "POST", INVOKE, "Redis is connected and says nothing")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await eventually(lambda: api.get("/api/v1/status"))
    await everything_answers(api)


async def test_the_facts_are_told_of_a_redis_that_says_nothing(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            answer = await api.get("/api/v1/health", thorough="true")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    states = {fact["name"]: fact["state"] for fact in answer["facts"]}
    assert (answer["ok"], states["redis"]) == (False, "failed")
    assert {states[name] for name in ("bounds", "conservation", "nodes")} == {"unknown"}
    assert states["ledger"] == "ok"


async def test_a_redis_that_may_not_write_refuses_with_its_reason(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    async with api.queue() as queue:
        await queue.link.call("CONFIG", "SET", "maxmemory", "1")
        await is_unavailable(api, "POST", INVOKE, "Redis refuses: OOM")
        await queue.link.call("CONFIG", "SET", "maxmemory", "0")
    await everything_answers(api)


async def test_without_the_database_what_needs_it_says_so_in_one_line(api: ControlApi) -> None:
    engine = database.open_database(api.settings.data)
    names = sa.inspect(engine).get_table_names()
    with engine.begin() as connection:
        for name in names:
            connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO away_{name}"))
    for method, path in NEED_SQL:
        await is_unavailable(api, method, path, "the database does not answer: no such table")
    with engine.begin() as connection:
        for name in names:
            connection.execute(sa.text(f"ALTER TABLE away_{name} RENAME TO {name}"))
    engine.dispose()
    await everything_answers(api)


async def test_a_session_of_the_page_goes_on_without_redis_and_hears_that_it_is_away(
    api: ControlApi, server: embedded.EmbeddedServer
) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"Origin": api.url}) as browser:
        async with browser.post(f"{api.url}/api/v1/login", json={"token": api.token}) as answer:
            assert answer.status == 200
        await server.stop()
        async with browser.get(f"{api.url}/api/v1/functions") as answer:
            assert answer.status == 200
        async with browser.get(f"{api.url}/api/v1/events", params={"types": "status"}) as answer:
            heard = b""
            async with asyncio.timeout(30):
                while b"event: away" not in heard:
                    heard += await answer.content.readline()
        async with browser.delete(f"{api.url}/api/v1/session", headers={"Faas-Page": "1"}) as answer:
            assert answer.status == 204
        async with browser.get(f"{api.url}/api/v1/functions") as answer:
            assert answer.status == 401
        async with browser.post(f"{api.url}/api/v1/login", json={"code": "x"}) as answer:
            assert answer.status == 503
