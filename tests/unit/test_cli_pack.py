"""Packing a source folder: the same files give the same bytes, and only what a function needs is in."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from faas.cli import pack
from faas.core import errors


def packed(folder: Path, leave_out: tuple[Path, ...] = (), max_bytes: int = 1 << 20) -> bytes:
    out = io.BytesIO()
    pack.pack(folder, out, leave_out=leave_out, max_bytes=max_bytes)
    return out.getvalue()


def names(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return tar.getnames()


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_same_files_give_the_same_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", b_py="b", a_py="a"), write(tmp_path / "2", a_py="a", b_py="b")
    os.utime(two / "a.py", (1, 1))
    (two / "b.py").chmod(0o600)
    assert packed(one) == packed(two)


def test_another_content_gives_other_bytes(tmp_path: Path) -> None:
    assert packed(write(tmp_path / "1", a_py="a")) != packed(write(tmp_path / "2", a_py="b"))


def test_names_are_sorted_and_dotfiles_are_in(tmp_path: Path) -> None:
    folder = write(tmp_path, z_py="", a__b_py="")
    (folder / ".env").write_text("X=1")
    assert names(packed(folder)) == [".env", "a/b.py", "z.py"]


@pytest.mark.parametrize("name", sorted(pack.SKIPPED))
def test_what_tools_leave_behind_is_left_out(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="")
    (folder / name).mkdir()
    (folder / name / "big").write_text("x")
    assert names(packed(folder)) == ["app.py"]


def test_the_data_directory_and_the_buckets_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", inbox__photo="x", data__ledger="x")
    assert names(packed(folder, (folder / "inbox", folder / "data"))) == ["app.py"]


def test_a_link_is_followed_and_a_loop_ends(tmp_path: Path) -> None:
    write(tmp_path / "shared", lib_py="lib")
    folder = write(tmp_path / "app", app_py="")
    (folder / "shared").symlink_to(tmp_path / "shared")
    (folder / "again").symlink_to(folder)
    (folder / "lib.py").symlink_to("../shared/lib.py")
    assert names(packed(folder)) == ["app.py", "lib.py", "shared/lib.py"]


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere")
    with pytest.raises(errors.BadRequest, match=r"gone\.py cannot be read"):
        packed(tmp_path)


def test_too_large_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.TooLarge):
        packed(write(tmp_path, app_py="x" * 5_000), max_bytes=4_000)


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadRequest, match="no folder"):
        packed(tmp_path / "missing")


def test_an_executable_stays_executable(tmp_path: Path) -> None:
    write(tmp_path, run="#!/bin/sh")
    (tmp_path / "run").chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path))) as tar:
        assert tar.getmember("run").mode == 0o755


def test_sockets_and_pipes_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, app_py="")
    os.mkfifo(tmp_path / "pipe")
    assert names(packed(tmp_path)) == ["app.py"]
