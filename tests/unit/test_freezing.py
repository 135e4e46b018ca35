"""When an idle sandbox is frozen, by files in the place of control groups."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runners.engines.docker import freezing, socket_memory
from runners.sandbox import hosted
from tests.eventually import eventually

VERSIONS = {"cgroup.freeze": (b"1", b"0"), "freezer.state": (b"FROZEN", b"THAWED")}


class Thaws:
    """How often it was said that a group goes on."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


def _freezer(group: Path, name: str = "freezer.state", thaws: Thaws | None = None) -> freezing.Freezer:
    (group / name).write_bytes(b"")
    return freezing.Freezer(group, thaws or Thaws())


@pytest.mark.parametrize("name", VERSIONS)
def test_a_group_of_either_version_is_frozen_and_thawed_once(tmp_path: Path, name: str) -> None:
    thaws = Thaws()
    freezer = _freezer(tmp_path, name, thaws)
    freezer.thaw()
    assert (tmp_path / name).read_bytes() == b""
    freezer.freeze()
    assert (tmp_path / name).read_bytes() == VERSIONS[name][0]
    freezer.thaw()
    freezer.thaw()
    assert (tmp_path / name).read_bytes()[: len(VERSIONS[name][1])] == VERSIONS[name][1]
    assert thaws.count == 1


def test_what_is_closed_is_thawed_and_never_frozen_again(tmp_path: Path) -> None:
    freezer = _freezer(tmp_path)
    freezer.freeze()
    freezer.close()
    freezer.close()
    freezer.freeze()
    assert not freezer.is_frozen
    assert (tmp_path / "freezer.state").read_bytes() == b"THAWED"


def test_where_nothing_can_be_frozen_nothing_is(tmp_path: Path) -> None:
    for group in (None, tmp_path / "none"):
        freezer = freezing.Freezer(group, Thaws())
        freezer.freeze()
        assert not freezer.works
        assert not freezer.is_frozen


@pytest.mark.parametrize(("now_s", "left_s"), [(10.0, 5.0), (14.0, 1.0), (14.9995, 0.0), (15.0, 0.0), (99.0, 0.0)])
def test_a_sandbox_runs_on_for_what_is_left_of_its_time(now_s: float, left_s: float) -> None:
    assert freezing.left(10.0, now_s, 5.0) == left_s


async def test_a_sandbox_is_frozen_when_it_was_idle_for_long_and_not_while_it_works(tmp_path: Path) -> None:
    freezer = _freezer(tmp_path)
    rest = freezing.Rest(freezer)
    rest.begin(hosted.REST_AFTER_S)
    rest.end()
    await asyncio.sleep(2 * hosted.REST_AFTER_S)
    assert not freezer.is_frozen
    rest.begin(hosted.REST_AFTER_S)
    await eventually(lambda: freezer.is_frozen)
    rest.end()
    assert not freezer.is_frozen
    rest.begin(hosted.REST_AFTER_S)
    rest.close()
    await asyncio.sleep(2 * hosted.REST_AFTER_S)
    assert not freezer.is_frozen


async def test_a_sandbox_whose_group_others_change_is_frozen_after_that(tmp_path: Path) -> None:
    freezer = _freezer(tmp_path)
    freezer.is_held = True
    freezing.Rest(freezer).begin(hosted.REST_AFTER_S)
    await asyncio.sleep(3 * hosted.REST_AFTER_S)
    assert not freezer.is_frozen
    freezer.is_held = False
    await eventually(lambda: freezer.is_frozen)


async def test_sockets_are_looked_at_while_a_sandbox_runs_until_they_hold_too_much(tmp_path: Path) -> None:
    usage = tmp_path / "memory.kmem.tcp.usage_in_bytes"
    usage.write_text(f"{socket_memory.MOST_BYTES}\n")
    (tmp_path / "memory.kmem.tcp.limit_in_bytes").write_text("9223372036854771712\n")
    frozen, over = [False], Thaws()
    watch = socket_memory.SocketWatch(tmp_path, 0, lambda: frozen[0], over)
    assert (tmp_path / "memory.kmem.tcp.limit_in_bytes").read_text() == str(socket_memory.LIMIT_BYTES)
    watch.wake()
    await asyncio.sleep(2 * socket_memory.LOOK_EVERY_S)
    assert over.count == 0
    usage.write_text(f"{socket_memory.MOST_BYTES + 4096}\n")
    await eventually(lambda: over.count == 1)
    await asyncio.sleep(2 * socket_memory.LOOK_EVERY_S)
    assert over.count == 1
    watch.close()
    watch.close()


async def test_where_sockets_are_counted_with_all_memory_nobody_looks(tmp_path: Path) -> None:
    over = Thaws()
    for group in (None, tmp_path):
        watch = socket_memory.SocketWatch(group, 0, lambda: False, over)
        watch.wake()
        watch.close()
    assert over.count == 0


async def test_sockets_are_counted_where_their_memory_is_not(tmp_path: Path) -> None:
    (tmp_path / "7" / "net").mkdir(parents=True)
    counts = tmp_path / "7" / "net" / "sockstat"
    over = Thaws()
    counts.write_text(f"sockets: used {socket_memory.MOST_SOCKETS}\nTCP: inuse 9999\n")
    watch = socket_memory.SocketWatch(None, 7, lambda: False, over, tmp_path)
    watch.wake()
    await asyncio.sleep(2 * socket_memory.LOOK_EVERY_S)
    assert over.count == 0
    counts.write_text(f"sockets: used {socket_memory.MOST_SOCKETS + 1}\nTCP: inuse 0\n")
    await eventually(lambda: over.count == 1)
    watch.close()


@pytest.mark.parametrize("said", [b"", b"TCP: inuse 5", b"sockets: used ", b"sockets: used x\n", b"\xff" * 300])
def test_a_count_that_is_none_is_nothing(said: bytes) -> None:
    assert socket_memory.sockets(said) == socket_memory.held_bytes(said) == 0
