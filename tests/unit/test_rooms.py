"""How large the folders in memory of a sandbox are."""

from __future__ import annotations

import pytest

from runners.engines.docker import rooms


@pytest.mark.parametrize(
    ("memory_mb", "tmp_mb", "tmp", "shm"),
    [(64, 512, 32, 32), (128, 512, 96, 64), (256, 512, 192, 64), (1024, 512, 512, 64), (10_240, 32, 32, 64)],
)
def test_a_folder_in_memory_is_smaller_than_the_memory(memory_mb: int, tmp_mb: int, tmp: int, shm: int) -> None:
    assert rooms.of(memory_mb, tmp_mb) == {"/tmp": tmp, "/dev/shm": shm}
