"""Requests for sandboxes and versions of the catalog, between real connections to a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from faas.cluster import catalog, demand
from faas.core import errors
from faas.link import client as redis_client
from faas.queue import keys as keyring
from faas.valkey import embedded

STATE = catalog.NodeState(catalog=1, host="h", pid=1, memory_mb=1024)


async def test_a_load_is_answered_by_the_node_that_read_it(redis_url: str, prefix: str) -> None:
    asking, node = await demand.Demand.open(redis_url, prefix), await demand.Demand.open(redis_url, prefix)
    asked = asyncio.create_task(asking.ask_load("echo@3", 5000))
    (request,) = await node.read("n1", 10, 5000)
    assert (request.ref, request.why) == ("echo@3", "load")
    report = demand.LoadReport(ok=True, init_us=1200)
    await node.answer(request, report)
    await node.done(request, more=True)
    assert await asked == report
    assert await node.read("n2", 10, 1) == []
    await asking.close()
    await node.close()


async def test_a_load_that_no_node_takes_says_so(redis_url: str, prefix: str) -> None:
    asking = await demand.Demand.open(redis_url, prefix)
    with pytest.raises(errors.Unavailable, match="no node loaded echo@3 within 50 ms"):
        await asking.ask_load("echo@3", 50)
    await asking.close()


async def test_a_load_may_take_longer_than_redis_py_waits_for_a_read(redis_url: str, prefix: str) -> None:
    asking = await demand.Demand.open(redis_url, prefix)
    with pytest.raises(errors.Unavailable, match="no node loaded echo@3 within 5500 ms"):
        await asking.ask_load("echo@3", 5500)
    await asking.close()


async def test_without_redis_every_request_is_one_clear_error(tmp_path: Path) -> None:
    server = embedded.EmbeddedServer(tmp_path)
    asking = await demand.Demand.open(await server.start(), "t")
    await server.stop()
    request = demand.DemandEntry("1-1", "echo@3", "load", "t:load:1")
    for attempt in (
        asking.warm("echo@3"),
        asking.ask_load("echo@3", 50),
        asking.read("n1", 1, 1),
        asking.done(request, more=True),
        asking.answer(request, demand.LoadReport(ok=True, init_us=1)),
    ):
        with pytest.raises(errors.Unavailable, match="Redis does not answer"):
            await attempt
    await asking.close()


async def test_a_deploy_waits_for_every_living_node(redis_url: str, prefix: str) -> None:
    versions = await catalog.Catalog.open(redis_url, prefix)
    assert await versions.wait_until_seen(7, 100)
    await versions.renew("n1", STATE, 60_000)
    assert not await versions.wait_until_seen(2, 50)
    waiting = asyncio.create_task(versions.wait_until_seen(2, 5000))
    await versions.renew("n1", catalog.NodeState(catalog=2, host="h", pid=1, memory_mb=1024), 60_000)
    assert await waiting
    await versions.close()


async def test_a_node_whose_lease_lapsed_is_not_waited_for(redis_url: str, prefix: str) -> None:
    versions = await catalog.Catalog.open(redis_url, prefix)
    await versions.renew("n1", STATE, 1)
    assert await versions.wait_until_seen(2, 5000)
    assert await versions.nodes() == {}
    await versions.close()


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of a server of the test's own, to misconfigure."""
    server = embedded.EmbeddedServer(tmp_path)
    async with redis.asyncio.Redis.from_url(await server.start()) as client:
        yield client
    await server.stop()


def url(client: redis.asyncio.Redis) -> str:
    return "unix://" + client.connection_pool.connection_kwargs["path"]


async def test_a_lease_that_redis_does_not_take_is_one_clear_error(own: redis.asyncio.Redis) -> None:
    """Anything else would end the heartbeat of a node for good, and its work would be taken over for ever."""
    versions = await catalog.Catalog.open(url(own), "t")
    await own.config_set("min-replicas-to-write", 1)  # refuses each write, as a full disk does
    with pytest.raises(errors.Unavailable, match="Redis takes no writes"):
        await versions.renew("n1", STATE, 10_000)
    await own.config_set("min-replicas-to-write", 0)
    await versions.renew("n1", STATE, 10_000)
    await versions.close()


async def test_a_lease_is_renewed_while_the_memory_of_redis_is_full(own: redis.asyncio.Redis) -> None:
    versions = await catalog.Catalog.open(url(own), "t")
    await own.config_set("maxmemory", "1")
    await versions.renew("n1", STATE, 10_000)
    assert await versions.nodes() == {"n1": STATE}
    await versions.close()


async def test_a_signal_that_asks_for_nothing_known_is_removed_and_those_behind_it_are_heard(
    redis_url: str, prefix: str
) -> None:
    signals, keys = await demand.Demand.open(redis_url, prefix), keyring.Keys(prefix)
    client = redis_client.connect(redis_url)
    for fields in ({"x": "y"}, {"ref": b"\xff", "why": "load"}, {"ref": "a@1"}):
        await client.xadd(keys.demand, fields)
    await signals.warm("echo@3")
    (request,) = await signals.read("n1", 10, 1)
    assert (request.ref, request.why) == ("echo@3", "warm")
    assert await client.xlen(keys.demand) == 1
    await client.aclose()
    await signals.close()


async def test_a_node_that_says_what_nobody_understands_hides_no_other(redis_url: str, prefix: str) -> None:
    nodes, keys = await catalog.Catalog.open(redis_url, prefix), keyring.Keys(prefix)
    client = redis_client.connect(redis_url)
    for name, said in (("odd", b"\xff"), ("old", b"[]"), ("deep", b"[" * 100_000)):
        await client.sadd(keys.nodes, name)
        await client.set(keys.node(name), said)
    await nodes.renew("n1", STATE, 60_000)
    assert list(await nodes.nodes()) == ["n1"]
    await client.aclose()
    await nodes.close()
