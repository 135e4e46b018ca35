"""Strict durability: an async call is accepted when it is on the server's disk, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import invocations
from faas.valkey import embedded, fitness
from tests import platform as platforms
from tests.eventually import eventually, eventually_sync


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    server = embedded.EmbeddedServer(tmp_path / "redis", syncs_always=True)
    yield await server.start()
    await server.stop()


def an_invocation(mode: model.Mode = model.Mode.ASYNC) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="f", revision=1, trigger="invoke", mode=mode, event=b"1", accepted_at_ms=1
    )


async def test_an_async_call_waits_for_the_disk_and_a_sync_call_does_not(url: str) -> None:
    queue = await invocations.Queue.connect(url, "t", strict=True)
    with redis.Redis.from_url(url) as client:
        client.config_set("appendfsync", "no")  # nothing is synced now, until somebody makes it
        waiting = asyncio.create_task(queue.enqueue(an_invocation()))
        await queue.enqueue(an_invocation(model.Mode.SYNC))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.5)
        client.config_set("appendfsync", "always")
        client.set("any", "write")  # whose sync takes along what was written before
        assert await asyncio.wait_for(waiting, 5)
    queue.close()


def test_a_strict_platform_has_a_server_that_syncs_each_write_before_it_answers(tmp_path: Path) -> None:
    """WAITAOF of Valkey answers too early where the file is synced each second, so that is refused at the start."""
    with platforms.running(tmp_path / "data", engine="process", durability="strict") as platform:
        server = embedded.EmbeddedServer(platform.data / "redis")
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}


async def test_many_that_are_accepted_at_once_share_a_wait(url: str) -> None:
    """Redis has all of them before it takes the first, and its answers are read when it has taken the last."""
    queue = await invocations.Queue.connect(url, "t", strict=True)
    transport = queue.link.connection._transport
    assert transport is not None
    with redis.Redis.from_url(url) as client:
        client.client_pause(60_000, all=False)
        accepting = [asyncio.create_task(queue.enqueue(an_invocation())) for _ in range(500)]
        await eventually(lambda: queue.link.silent_ms() and not transport.get_write_buffer_size(), within=30)
        client.client_unpause()
        eventually_sync(lambda: client.xlen(queue.keys.queue("f@1", model.Mode.ASYNC)) == 500, within=30)
        await asyncio.gather(*accepting)
        assert client.info("commandstats")["cmdstat_waitaof"]["calls"] <= 3
    queue.close()


def test_a_server_that_does_not_sync_always_is_refused() -> None:
    strict = settings_module.of(durability="strict")
    old = {"redis_version": "7.4.2", "aof_enabled": 1, "aof_last_write_status": "ok", "appendfsync": "everysec"}
    (found,) = fitness.findings(old, strict.redis, strict.queues, strict.results)
    assert found.unfit
    assert "appendfsync always" in found.hint
    assert not list(fitness.findings({**old, "appendfsync": "always"}, strict.redis, strict.queues, strict.results))


async def test_strict_on_the_embedded_server_is_fit_and_without_its_file_refused(url: str) -> None:
    strict = settings_module.of(durability="strict", redis_url=url)
    fitness.require(strict.redis, strict.queues, strict.results)
    with redis.Redis.from_url(url) as client:
        client.config_set("appendonly", "no")
    with pytest.raises(errors.Conflict, match="append-only file of Redis is off"):
        fitness.require(strict.redis, strict.queues, strict.results)
