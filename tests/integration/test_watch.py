"""A node is dead when its lease has not changed for as long as it lasts, whatever the wall clock says meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from faas.cluster import catalog, leases, watch
from faas.core.processes import living
from faas.queue import invocations
from tests.eventually import eventually

LEASE_MS = 10_000
BEAT_S = 2.0


class Others:
    """The leases of other nodes, and the time of the one that watches them."""

    def __init__(self, queue: invocations.Queue, versions: catalog.Catalog) -> None:
        self.now_s = 0.0
        self.watch = watch.NodeWatch(LEASE_MS, lambda: self.now_s)
        self._queue = queue
        self._versions = versions
        self._beats = 0

    async def renew(self, node: str, process: living.ProcessIdentity | None = None) -> None:
        self._beats += 1
        state = catalog.NodeState(catalog=1, host="h", pid=1, memory_mb=1, beat=self._beats, process=process)
        await self._versions.renew(node, state, 3_600_000)

    async def lapse(self, node: str) -> None:
        """What a jump forward of Redis's clock does to every key that has a lifetime."""
        await self._queue.link.call("DEL", self._queue.keys.node(node))

    async def look(self, after_s: float = BEAT_S) -> list[str]:
        self.now_s += after_s
        return list(await self.watch.dead(self._queue))


@pytest.fixture
async def others(redis_url: str, prefix: str) -> AsyncIterator[Others]:
    queue = await invocations.Queue.connect(redis_url, prefix)
    versions = await catalog.Catalog.open(redis_url, prefix)
    yield Others(queue, versions)
    await versions.close()
    queue.close()


async def test_a_node_that_renews_lives_though_its_key_lapses_at_once(others: Others) -> None:
    for _ in range(20):
        await others.renew("alive")
        assert await others.look() == []
        await others.lapse("alive")
        assert await others.look() == []


async def test_a_node_that_renews_no_more_is_dead_after_its_lease_though_its_key_lives_for_an_hour(
    others: Others,
) -> None:
    await others.renew("dead")
    found = [await others.look() for _ in range(7)]
    assert found == [[]] * 5 + [["dead"]] * 2


async def test_what_a_dead_node_left_is_taken_with_the_lease_that_was_seen_and_with_no_other(
    others: Others, redis_url: str, prefix: str
) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix)
    await others.renew("n1")
    for _ in range(6):
        await others.look()
    ((name, lease),) = (await others.watch.dead(queue)).items()
    await others.renew("n1")  # it was only paused
    await leases.take_over(queue, name, lease)
    assert await queue.link.call("EXISTS", queue.keys.node("n1")) == 1
    lease = await queue.link.call("GET", queue.keys.node("n1"))
    await leases.take_over(queue, name, lease)
    assert await queue.link.call("EXISTS", queue.keys.node("n1")) == 0
    assert await leases.holders(queue) == []
    queue.close()


async def test_the_time_in_which_the_watcher_saw_nothing_makes_nobody_dead(others: Others) -> None:
    await others.renew("n1")
    await others.look()
    assert await others.look(after_s=3_600) == []
    assert await others.look() == []


async def test_a_node_whose_process_has_ended_on_this_machine_is_dead_at_once(others: Others) -> None:
    asleep = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    own = living.own()
    assert own is not None
    started = int(Path(f"/proc/{asleep.pid}/stat").read_text().rpartition(")")[2].split()[19])
    process = msgspec.structs.replace(own, pid=asleep.pid, started=started)
    await others.renew("here", process)
    await others.renew("another start", msgspec.structs.replace(process, started=started - 1))
    await others.renew("elsewhere", msgspec.structs.replace(process, space="another", started=0))
    assert await others.look() == ["another start"]
    asleep.kill()

    async def are_both_dead() -> bool:
        return await others.look(after_s=0) == ["another start", "here"]

    await eventually(are_both_dead)
    await asleep.wait()
    assert await are_both_dead()
