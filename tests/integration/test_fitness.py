"""A Redis that would drop queued work is refused before anything is started on it, with the setting to change."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from faas.core import errors, groups
from faas.core import settings as settings_module
from faas.valkey import embedded, fitness
from tests import platform


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[settings_module.Settings]:
    """Settings with a server of the test's own, to misconfigure."""
    server = embedded.EmbeddedServer(tmp_path / "redis", memory_mb=64)
    yield settings_module.of(
        redis_url=await server.start(),
        max_waiting_bytes=1_000_000,
        max_unrecorded_bytes=1_000_000,
        max_kept_bytes=1_000_000,
        max_answers_bytes=1_000_000,
    )
    await server.stop()


def require(own: settings_module.Settings) -> None:
    fitness.require(own.redis, own.queues, own.results)


@pytest.fixture
def client(own: settings_module.Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own.redis.redis_url) as opened:
        yield opened


async def test_the_embedded_server_is_fit(own: settings_module.Settings, client: redis.Redis) -> None:
    assert list(fitness.findings(client.info(), own.redis, own.queues, own.results)) == []
    assert client.info()["maxmemory"] == 64 * 1024 * 1024
    require(own)


async def test_a_server_that_evicts_is_refused_and_the_setting_named(
    own: settings_module.Settings, client: redis.Redis
) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(errors.Conflict, match="maxmemory-policy allkeys-lru") as refused:
        require(own)
    assert "maxmemory-policy noeviction" in refused.value.hint
    client.config_set("maxmemory", 0)  # it never evicts then
    require(own)


async def test_what_may_wait_must_fit_into_half_of_the_servers_memory(own: settings_module.Settings) -> None:
    with pytest.raises(errors.Conflict, match="max_waiting_bytes is 40000000, over half") as refused:
        require(settings_module.changed(own, max_waiting_bytes=40_000_000))
    assert "FAAS_MAX_WAITING_BYTES" in refused.value.hint


async def test_all_that_is_bounded_must_leave_room_in_the_servers_memory(own: settings_module.Settings) -> None:
    with pytest.raises(errors.Conflict, match="59000000 together, over seven eighths") as refused:
        require(settings_module.changed(own, max_answers_bytes=57_000_000, max_kept_bytes=0))
    assert "FAAS_MAX_ANSWERS_BYTES" in refused.value.hint
    require(settings_module.changed(own, max_answers_bytes=55_000_000))


async def test_a_server_without_its_append_only_file_is_warned_of(
    own: settings_module.Settings, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.config_set("appendonly", "no")
    with caplog.at_level(logging.WARNING):
        require(own)
    assert "append-only" in caplog.records[-1].__dict__["reason"]


def test_a_server_that_is_too_old_is_refused() -> None:
    old = {"redis_version": "6.0.16", "aof_enabled": 1, "aof_last_write_status": "ok"}
    (found,) = fitness.findings(old, groups.Redis(), groups.Queues(), groups.Results())
    assert found.unfit
    assert "6.0.16" in found.text


async def test_every_command_that_connects_refuses_an_unfit_server(
    own: settings_module.Settings, client: redis.Redis, tmp_path: Path
) -> None:
    client.config_set("maxmemory-policy", "volatile-ttl")
    one = platform.Platform(tmp_path / "data", {"FAAS_REDIS_URL": own.redis.redis_url})
    for command in ("up", "node", "scheduler", "recorder", "api", "builder"):
        done = one.faas(command)
        assert done.returncode == errors.Conflict.exit_code, (command, done.stderr)
        assert "maxmemory-policy volatile-ttl" in done.stderr
