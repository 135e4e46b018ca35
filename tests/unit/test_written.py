"""Files that commands write: whole or not at all, and into what is no plain file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from faas.cli import written


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"before")
    with contextlib.suppress(RuntimeError), written.whole(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"before"
    with written.whole(target, lambda path: path.chmod(0o640)) as file:
        file.write(b"after")
        assert target.read_bytes() == b"before"
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"after", 0o640)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_what_is_no_plain_file_is_written_into_and_stays_what_it_is(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with written.whole(tmp_path / name) as file:
            file.write(b"content")
        assert os.read(reader, 100) == b"content"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink()
