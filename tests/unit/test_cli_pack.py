"""Packing a source folder: the same files give the same bytes, and only what a function needs is in."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faas.cli import left_out as leaving
from faas.cli import pack
from faas.core import errors

TOOLS_FOLDERS = (
    ".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".faas", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", ".hypothesis", ".tox", ".nox", ".idea", ".vscode", ".DS_Store", ".cache", ".terraform", "htmlcov",
)  # fmt: skip


def packed(
    folder: Path, leave_out: tuple[Path, ...] = (), max_bytes: int = 1 << 20, project: Path | None = None
) -> bytes:
    out = io.BytesIO()
    pack.pack(folder, out, leave_out=leave_out, max_bytes=max_bytes, project=project)
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
    (folder / ".config").write_text("X=1")
    assert names(packed(folder)) == [".config", "a/b.py", "z.py"]


@pytest.mark.parametrize("name", TOOLS_FOLDERS)
def test_what_tools_leave_behind_is_left_out(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="")
    (folder / name).mkdir()
    (folder / name / "big").write_text("x")
    assert names(packed(folder)) == ["app.py"]


def test_the_data_directory_and_the_buckets_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", inbox__photo="x", data__ledger="x")
    assert names(packed(folder, (folder / "inbox", folder / "data"))) == ["app.py"]


def test_the_manifest_is_left_out_and_a_file_of_the_same_name_elsewhere_is_not(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", templates__faas="x")
    (folder / "faas.yaml").write_text("functions: {}")
    (folder / "templates/faas.yaml").write_text("functions: {}")
    assert names(packed(folder, (folder / "faas.yaml",))) == ["app.py", "templates/faas", "templates/faas.yaml"]


def test_a_link_is_followed_and_a_loop_ends(tmp_path: Path) -> None:
    write(tmp_path / "shared", lib_py="lib")
    folder = write(tmp_path / "app", app_py="")
    (folder / "shared").symlink_to(tmp_path / "shared")
    (folder / "again").symlink_to(folder)
    (folder / "lib.py").symlink_to("../shared/lib.py")
    assert names(packed(folder, project=tmp_path)) == ["app.py", "lib.py", "shared/lib.py"]


@pytest.mark.parametrize("what", ["file", "folder", "behind another", "in a folder", "by a folder above", "absolute"])
def test_a_link_that_leaves_the_project_is_refused_and_nothing_behind_it_is_packed(what: str, tmp_path: Path) -> None:
    write(tmp_path / "secrets", key="secret")
    folder = write(tmp_path / "project" / "app", app_py="", in__b_py="")
    out = Path("../../secrets")
    if what == "file":
        (folder / "link").symlink_to(out / "key")
    elif what == "folder":
        (folder / "link").symlink_to(out)
    elif what == "behind another":
        (tmp_path / "project" / "hop").symlink_to(Path("../secrets"))
        (folder / "link").symlink_to("../hop")
    elif what == "in a folder":
        (folder / "in" / "link").symlink_to(Path("..") / out / "key")
    elif what == "by a folder above":
        (folder / "link").symlink_to("../..")
    else:
        (folder / "link").symlink_to(tmp_path / "secrets" / "key")
    with pytest.raises(errors.BadRequest, match="link that leaves the project"):
        packed(folder, project=tmp_path / "project")
    out_file = io.BytesIO()
    with pytest.raises(errors.BadRequest):
        pack.pack(folder, out_file, leave_out=(), max_bytes=1 << 20, project=tmp_path / "project")
    assert b"secret" not in out_file.getvalue()


def test_a_file_that_becomes_a_link_once_it_was_found_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "secrets", key="secret")
    folder = write(tmp_path / "app", app_py="")
    found = pack._files

    def exchanged(*arguments: Any) -> Iterator[tuple[Path, str]]:
        for path, name in found(*arguments):
            path.unlink()
            path.symlink_to(tmp_path / "secrets" / "key")
            yield path, name

    monkeypatch.setattr(pack, "_files", exchanged)
    with pytest.raises(errors.BadRequest, match="link that leaves the project"):
        packed(folder)


def test_links_without_a_name_of_use_may_lead_anywhere(tmp_path: Path) -> None:
    folder = write(tmp_path / "app", app_py="")
    (folder / ".venv").symlink_to("/usr")
    (folder / "node_modules").symlink_to("/usr/lib")
    assert names(packed(folder)) == ["app.py"]


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere")
    with pytest.raises(errors.BadRequest, match=r"gone\.py cannot be read"):
        packed(tmp_path)


def test_links_that_lead_round_in_a_circle_end(tmp_path: Path) -> None:
    folder = write(tmp_path, one__a_py="", two__b_py="")
    (folder / "one/up").symlink_to("../two")
    (folder / "two/back").symlink_to("../one")
    (folder / "in").symlink_to("one")
    assert names(packed(folder)) == ["in/a.py", "in/up/b.py", "one/a.py", "one/up/b.py", "two/b.py", "two/back/a.py"]


@pytest.mark.parametrize("mode", ["file", "folder"])
def test_what_one_may_not_read_is_named(mode: str, tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", secret__key_py="")
    (folder / ("secret/key.py" if mode == "file" else "secret")).chmod(0)
    # Root may read anything, except in a user namespace that maps nobody.
    program = (
        "import io, sys, pathlib; from faas.cli import pack\n"
        "pack.pack(pathlib.Path(sys.argv[1]), io.BytesIO(), leave_out=(), max_bytes=9999)"
    )
    command = ["unshare", "--user", sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"secret{'/key.py' if mode == 'file' else ''} cannot be read: Permission denied" in done.stderr


def test_too_large_a_source_is_refused_and_told_what_is_large(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", data__one="x" * 1_500_000, data__two="x" * 1_500_000)
    with pytest.raises(errors.TooLarge, match=r"is over 2\.0 MB; so far: data 2\.9 MB, app\.py 0\.0 MB"):
        packed(folder, max_bytes=2 << 20)


def test_a_full_disk_here_is_not_put_down_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, app_py="x" * 20_000)
    with Path("/dev/full").open("r+b", buffering=0) as full, pytest.raises(errors.Unavailable, match="no space left"):
        pack.pack(tmp_path, full, leave_out=(), max_bytes=1 << 20)


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
    (tmp_path / "linked").symlink_to("pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    assert names(packed(tmp_path)) == ["app.py"]


def left_out(folder: Path, project: Path | None = None) -> dict[str, list[str]]:
    return pack.pack(folder, io.BytesIO(), leave_out=(), max_bytes=1 << 20, project=project)


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "prod.env", "id_rsa", "server.key", "store.p12", ".netrc", ".npmrc", "terraform.tfstate"],
)
def test_secrets_are_never_sent_whatever_a_file_says(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="")
    (folder / name).write_text("SECRET=1")
    (folder / ".faasignore").write_text(f"!{name}\n!*\n")
    assert names(packed(folder)) == [".faasignore", "app.py"]
    assert left_out(folder) == {"secrets and keys, which never leave": [name]}


def test_a_private_key_is_told_from_a_certificate_by_what_is_in_the_file(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="")
    body = "A" * 64
    (folder / "ca.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    (folder / "own.pem").write_text(f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
    (folder / "account.json").write_text('{"private_key": "-----BEGIN PRIVATE KEY-----\\n' + body + '"}')
    (folder / "notes.txt").write_text("how to write -----BEGIN PRIVATE KEY----- is explained elsewhere")
    (folder / ".env.example").write_text("SECRET=")
    assert names(packed(folder)) == [".env.example", "app.py", "ca.pem", "notes.txt"]


def test_an_environment_is_left_out_by_whatever_name(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", mine__lib__x_py="")
    (folder / "mine" / "pyvenv.cfg").write_text("home = /usr/bin")
    assert left_out(folder) == {"virtual environments": ["mine/"]}
    assert names(packed(folder)) == ["app.py"]


def test_gitignore_and_faasignore_count_below_their_folders_and_the_latter_has_the_last_word(tmp_path: Path) -> None:
    folder = write(tmp_path / "src", app_py="", build__x="", data__a="", data__b="", deep__build="", deep__only="")
    (tmp_path / ".gitignore").write_text("*.secret\n")
    (folder / "x.secret").write_text("")
    (folder / ".gitignore").write_text("# made\n/build/\ndata/*\n!data/b\n")
    (folder / ".faasignore").write_text("!data/a\n")
    (folder / "deep" / ".gitignore").write_text("only\n")
    kept = ["app.py", "data/a", "data/b", "deep/build"]
    assert names(packed(folder, project=tmp_path)) == kept
    assert left_out(folder, tmp_path)["by .gitignore"] == ["build/", "x.secret", "deep/only"]


def test_what_cp_wrote_is_left_out_until_it_is_changed_or_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="", thumb="x", model="x", edited="x")
    for name in ("thumb", "model", "edited"):
        leaving.mark_copied(folder / name)
    (folder / "edited").write_text("longer")
    (folder / ".faasignore").write_text("!model\n")
    assert names(packed(folder)) == ["app.py", "edited", "model"]
    assert left_out(folder)["copied out of buckets by `faas cp`"] == ["thumb"]


def test_what_is_left_out_is_said_by_its_reason_and_no_more_than_a_line_of_it() -> None:
    assert leaving.said({"by .gitignore": [f"f{n}" for n in range(8)], "virtual environments": ["mine/"]}) == [
        "left out, by .gitignore: f0, f1, f2 and 5 more",
        "left out, virtual environments: mine/",
    ]


def test_a_pattern_that_is_none_and_a_file_that_is_no_text_hurt_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, app_py="")
    (folder / ".gitignore").write_bytes(b"\xff\xfe[\n!\n/\n\n[z-a]\n")
    assert names(packed(folder)) == ["app.py"]
