from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from faas import artifacts
from faas.core import errors


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_same_files_give_the_same_digest_whatever_their_times_modes_and_order(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    one = tree(tmp_path / "1", a_py="1", pkg__b_py="2")
    two = tree(tmp_path / "2", pkg__b_py="2", a_py="1")
    (two / "a.py").chmod(0o600)
    os.utime(two / "a.py", (1, 1))
    assert store.pack(one) == store.pack(two)
    (two / "a.py").chmod(0o700)
    assert store.pack(one) != store.pack(two)


def test_a_bundle_says_nothing_about_who_packed_it(tmp_path: Path) -> None:
    _, path = artifacts.Artifacts(tmp_path).pack(tree(tmp_path / "s", a_py="1"))
    with tarfile.open(path) as tar:
        (member,) = tar
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
    assert str(tmp_path).encode() not in path.read_bytes()


def test_a_later_folder_lies_over_an_earlier_one_with_no_bytecode_of_what_it_replaced(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    layer = tree(tmp_path / "layer", mod_py="old", kept_py="kept", was_folder__x_py="x")
    (layer / "__pycache__").mkdir()
    (layer / "__pycache__/mod.cpython-311.pyc").write_bytes(b"old")
    (layer / "__pycache__/kept.cpython-311.pyc").write_bytes(b"kept")
    source = tree(tmp_path / "source", mod_py="new", was_folder="a file now")
    (source / "was/folder").parent.mkdir(exist_ok=True)
    code = store.unpack(store.pack(layer, source)[0])
    assert (code / "mod.py").read_text() == "new"
    assert sorted(path.name for path in (code / "__pycache__").iterdir()) == ["kept.cpython-311.pyc"]


def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    under, over = tmp_path / "under", tmp_path / "over"
    for path in (under / "a/x", under / "b", over / "a", over / "b/y"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.parent.parent.name)
    code = store.unpack(store.pack(under, over)[0])
    assert sorted(path.relative_to(code).as_posix() for path in code.rglob("*")) == ["a", "b", "b/y"]


def test_unpacked_files_are_world_readable_read_only_and_keep_dotfiles_and_executable_bits(tmp_path: Path) -> None:
    source = tree(tmp_path / "s", app_py="1")
    (source / ".env").write_text("x")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o700)
    (source / "empty").mkdir()
    store = artifacts.Artifacts(tmp_path)
    code = store.unpack(store.pack(source)[0])
    modes = {path.name: path.stat().st_mode & 0o777 for path in code.iterdir()}
    assert modes == {"app.py": 0o444, ".env": 0o444, "run.sh": 0o555, "empty": 0o755}
    assert code.stat().st_mode & 0o777 == 0o755


def test_many_who_unpack_at_once_get_one_whole_folder(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    digest, _ = store.pack(tree(tmp_path / "s", **{f"f{number}_py": "x" for number in range(50)}))
    counts: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: counts.append(len(list(artifacts.Artifacts(tmp_path).unpack(digest).iterdir())))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [50] * 8
    assert [path.name for path in (tmp_path / "code").iterdir()] == [digest]


def test_a_bundle_travels_from_one_store_to_another(tmp_path: Path) -> None:
    here, there = artifacts.Artifacts(tmp_path / "here"), artifacts.Artifacts(tmp_path / "there")
    digest, _ = here.pack(tree(tmp_path / "s", a_py="1"))
    assert not there.has(digest)
    with here.open(digest) as bundle:
        assert there.put(bundle) == digest
    assert there.has(digest)
    assert (there.unpack(digest) / "a.py").read_text() == "1"


@pytest.mark.parametrize("digest", ["0" * 64, "", "../../etc/passwd", "0" * 63 + "/"])
def test_a_digest_that_is_not_there_is_not_found(tmp_path: Path, digest: str) -> None:
    store = artifacts.Artifacts(tmp_path)
    assert not store.has(digest)
    for ask in (store.open, store.unpack):
        with pytest.raises(errors.NotFound):
            ask(digest)


def test_a_bundle_that_the_disk_damaged_is_never_read_or_unpacked(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    digest, path = store.pack(tree(tmp_path / "s", a_py="1"))
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    for use in (store.unpack, store.open):
        with pytest.raises(errors.Unavailable, match="damaged"):
            use(digest)
    assert not (tmp_path / "code" / digest).exists()


def test_a_removed_bundle_takes_its_unpacked_files_along(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    digest, _ = store.pack(tree(tmp_path / "s", a_py="1"))
    store.unpack(digest)
    store.remove(digest)
    store.remove(digest)
    assert not store.has(digest)
    assert list((tmp_path / "code").iterdir()) == []


def test_a_link_is_never_bundled(tmp_path: Path) -> None:
    source = tree(tmp_path / "s", a_py="1")
    (source / "link").symlink_to("/etc")
    with pytest.raises(errors.BadRequest, match="link"):
        artifacts.Artifacts(tmp_path).pack(source)
    assert list((tmp_path / "artifacts").glob("*")) == []


def test_what_a_killed_process_left_half_written_is_swept_when_it_is_old(tmp_path: Path) -> None:
    store = artifacts.Artifacts(tmp_path)
    digest, _ = store.pack(tree(tmp_path / "s", a_py="1"))
    store.unpack(digest)
    (tmp_path / "artifacts/.partial-old").write_bytes(b"x")
    (tmp_path / "artifacts/.partial-new").write_bytes(b"x")
    (tmp_path / "code/.partial-old").mkdir()
    for name in ("artifacts/.partial-old", "code/.partial-old"):
        os.utime(tmp_path / name, (time.time() - 7200,) * 2)
    assert store.sweep() == 2
    assert (tmp_path / "artifacts/.partial-new").exists()
    assert store.has(digest)


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(300_000))
    program = (
        "import sys; from pathlib import Path; from faas import artifacts; from faas.core import errors\n"
        "try: artifacts.Artifacts(Path(sys.argv[1])).pack(Path(sys.argv[2]))\n"
        "except errors.Unavailable as error: print(error.message)"
    )
    # A limit on the size of files stands for the full disk: both end a write with an OSError half way.
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(source)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert "no space left on the platform's disk" in done.stdout, done.stderr
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_an_empty_folder_makes_a_bundle_too(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    store = artifacts.Artifacts(tmp_path)
    assert list(store.unpack(store.pack(tmp_path / "s")[0]).iterdir()) == []
    assert store.put(io.BytesIO(b"anything")) != ""
