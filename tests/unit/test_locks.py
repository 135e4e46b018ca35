"""Locks on files between processes."""

from __future__ import annotations

from pathlib import Path

from faas.core.processes import locks


def test_a_lock_is_one_holders_and_is_free_when_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("r") as second:
        assert locks.taken(first.fileno())
        assert not locks.taken(second.fileno())
        assert not locks.taken(second.fileno(), shared=True)
        first.close()
        assert locks.taken(second.fileno())


def test_two_who_look_at_once_are_not_in_one_anothers_way(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("r") as second:
        assert locks.taken(first.fileno(), shared=True)
        assert locks.taken(second.fileno(), shared=True)
        assert not locks.taken(second.fileno())
