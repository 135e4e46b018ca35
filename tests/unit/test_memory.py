"""What a node does with its memory: who gets what is free, and what goes to make room."""

from __future__ import annotations

import os

import pytest

from faas.core import settings
from runners import memory
from runners.sandbox import base


def test_what_is_awaited_is_not_spare() -> None:
    one = memory.Memory(256)
    assert one.promise(100)
    assert (one.free_mb, one.spare_mb) == (156, 156)
    one.awaited_mb = 128
    assert (one.free_mb, one.spare_mb) == (156, 28)
    one.awaited_mb = 512
    assert (one.free_mb, one.spare_mb) == (156, 0)
    assert one.promise(156) and not one.promise(1)


def test_nodes_of_one_machine_share_its_memory() -> None:
    alone = memory.Memory(0).total_mb
    assert memory.Memory(0, nodes=4).total_mb == alone // 4
    assert memory.Memory(512, nodes=4).total_mb == 512, "what is said is said for each"


@pytest.mark.parametrize(("processors", "nodes"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8), (128, 8)])
def test_a_machine_with_more_processors_has_more_nodes(
    monkeypatch: pytest.MonkeyPatch, processors: int, nodes: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert settings.Settings().runners.node_count == nodes
    assert settings.of(nodes=3).runners.node_count == 3


@pytest.mark.parametrize(
    ("wanted", "free", "stock", "idle", "expected"),
    [
        (64, 64, [128], [64], memory.Evictions()),
        (128, 64, [64, 64], [64], memory.Evictions(stock=1)),
        (256, 64, [64], [64, 64, 64], memory.Evictions(stock=1, idle=2)),
        (128, 0, [], [64, 256, 64], memory.Evictions(idle=2)),
        (128, 0, [64], [], memory.Evictions(stock=1)),
        (128, 127, [], [], memory.Evictions()),
        (128, 0, [64, 64], [], memory.Evictions(stock=2)),
    ],
)
def test_room_is_made_by_the_stock_first_and_by_no_more_than_it_takes(
    wanted: int, free: int, stock: list[int], idle: list[int], expected: memory.Evictions
) -> None:
    assert memory.evictions(wanted, free, stock, idle) == expected


def test_what_an_engine_has_elsewhere_takes_the_place_of_the_machine() -> None:
    room = base.EngineRoom(memory_mb=1_000_000, processors=600)
    assert memory.Memory(0, nodes=4, room=room).total_mb == 250_000
    assert memory.Memory(512, nodes=4, room=room).total_mb == 512
    assert memory.Memory(2_000_000, room=room).total_mb == 1_000_000
    assert memory.processors(room, 4) == 150
    assert memory.processors(room, 1_000) == 1
    assert memory.processors(None, 1) == os.cpu_count()
