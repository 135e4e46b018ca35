"""What a node does with its memory: who gets what is free, and what goes to make room."""

from __future__ import annotations

import pytest

from runners import memory


def test_what_is_awaited_is_not_spare() -> None:
    one = memory.Memory(256)
    assert one.promise(100)
    assert (one.free_mb, one.spare_mb) == (156, 156)
    one.awaited_mb = 128
    assert (one.free_mb, one.spare_mb) == (156, 28)
    one.awaited_mb = 512
    assert (one.free_mb, one.spare_mb) == (156, 0)
    assert one.promise(156) and not one.promise(1)


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
