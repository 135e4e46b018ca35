"""A bucket folder: keys stay inside it, objects appear whole, lists are in the order of keys."""

from __future__ import annotations

import contextlib
import mmap
import os
import shlex
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import files, stamps, tree
from faas.core import errors, model, settings

NAMES = st.text(alphabet=string.ascii_letters + string.digits + " -_%.ä雪+", min_size=1, max_size=6).filter(
    lambda name: not name.startswith(".")
)
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@pytest.fixture
def bucket(tmp_path: Path) -> folders.BucketFolder:
    return folders.BucketFolder("photos", tmp_path / "photos")


def put(bucket: folders.BucketFolder, key: str, data: bytes = b"x") -> buckets.Object:
    return buckets.put(bucket, key, data)


def get(bucket: folders.BucketFolder, key: str) -> bytes:
    with contextlib.closing(bucket.open(key)) as reading:
        return reading.read(0, 1 << 20)


def keys(bucket: folders.BucketFolder, **which: object) -> list[str]:
    return [found.key for found in bucket.list(**which)]  # type: ignore[arg-type]


def test_what_was_committed_is_read_back(bucket: folders.BucketFolder) -> None:
    written = put(bucket, "in/a b/ä %.jpg", b"bytes")
    assert get(bucket, "in/a b/ä %.jpg") == b"bytes"
    assert bucket.stat("in/a b/ä %.jpg") == written
    assert written.size == 5


def test_an_object_is_not_there_before_its_commit_and_leaves_nothing_without_one(
    bucket: folders.BucketFolder,
) -> None:
    writing = bucket.begin("a")
    writing.write(b"half")
    assert keys(bucket) == []
    writing.close()
    assert list(bucket.root.iterdir()) == []


def test_an_object_carries_the_depth_of_its_writer_and_the_version_that_was_published(
    bucket: folders.BucketFolder,
) -> None:
    written = buckets.put(bucket, "a", b"x", buckets.Writer(3))
    assert os.getxattr(bucket.root / "a", stamps.DEPTH_ATTRIBUTE) == b"3"
    assert os.getxattr(bucket.root / "a", stamps.PUBLISHED_ATTRIBUTE) == written.version.encode()
    put(bucket, "a", b"from outside")
    with pytest.raises(OSError, match="No data available"):
        os.getxattr(bucket.root / "a", stamps.DEPTH_ATTRIBUTE)


_COMMIT = """
import os, pathlib, sys
from faas.buckets import port
from faas.buckets.folder import bucket as folders
root = pathlib.Path(sys.argv[1])
bucket = folders.BucketFolder("b", root)
print(port.put(bucket, "a", b"", port.Writer(3)).key, os.listxattr(root / "a"))
"""


def test_a_file_system_without_extended_attributes_keeps_objects_all_the_same(tmp_path: Path) -> None:
    script = f"mount -t ramfs none {tmp_path} && exec " + shlex.join([sys.executable, "-c", _COMMIT, str(tmp_path)])
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    assert subprocess.check_output(command, text=True) == "a []\n"


def test_a_commit_replaces_and_readers_of_the_old_object_keep_it(bucket: folders.BucketFolder) -> None:
    old = put(bucket, "a", b"old")
    reading = bucket.open("a")
    new = put(bucket, "a", b"newer")
    assert reading.read(0, 10) == b"old"
    reading.close()
    assert get(bucket, "a") == b"newer"
    assert old.version != new.version and old.etag != new.etag
    assert [path.name for path in bucket.root.iterdir()] == ["a"]


PUBLISHES = """
import os, pathlib, sys
from faas.buckets.folder import bucket as folders

def stop(*args, **kwargs):
    print("passing", flush=True)
    sys.stdin.readline()
    rename(*args, **kwargs)

def refuse(*args, **kwargs):
    raise FileNotFoundError

rename, os.rename = os.rename, stop
if sys.argv[2] == "copy":
    os.link = refuse
bucket = folders.BucketFolder("photos", pathlib.Path(sys.argv[1]))
writing = bucket.begin("in/a")
writing.write(b"bytes")
writing.commit()
"""


def publishing(bucket: folders.BucketFolder, how: str) -> subprocess.Popen[str]:
    """A process that has given a file its passing name, and waits for a line before it makes it an object."""
    command = [sys.executable, "-c", PUBLISHES, str(bucket.root), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "passing\n"
    return process


@pytest.mark.parametrize("how", ["link", "copy"])
def test_what_a_process_that_was_killed_as_it_published_left_is_swept(bucket: folders.BucketFolder, how: str) -> None:
    with publishing(bucket, how) as process:
        assert bucket.sweep() == 0, "it is being published"
        process.kill()
    assert len(list((bucket.root / "in").iterdir())) == 1
    assert bucket.sweep() == 1
    assert list((bucket.root / "in").iterdir()) == []


@pytest.mark.parametrize("how", ["link", "copy"])
def test_what_is_being_published_during_a_sweep_becomes_an_object(bucket: folders.BucketFolder, how: str) -> None:
    with publishing(bucket, how) as process:
        assert bucket.sweep() == 0
        process.communicate("go on\n", timeout=20)
        assert process.returncode == 0
    assert get(bucket, "in/a") == b"bytes"


def test_a_sweep_leaves_all_that_is_not_of_such_a_name_and_does_not_leave_the_bucket(
    bucket: folders.BucketFolder, tmp_path: Path
) -> None:
    passing = f".faas-{0:016x}"
    (tmp_path / passing).touch()
    put(bucket, "deep/" * 200 + "a")
    (bucket.root / "out").symlink_to(tmp_path)
    (bucket.root / ".faas-abc").touch()
    (bucket.root / f".faas-{1:016x}").symlink_to(tmp_path / passing)
    (bucket.root / f".faas-{2:016x}").mkdir()
    os.mkfifo(bucket.root / f".faas-{3:016x}")
    (bucket.root / "deep" / f".faas-{4:016x}").touch()
    before = len(os.listdir("/proc/self/fd"))
    assert bucket.sweep() == 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert (tmp_path / passing).exists()
    left = {".faas-abc", "deep", "out", *(f".faas-{number:016x}" for number in (1, 2, 3))}
    assert {path.name for path in bucket.root.iterdir()} == left


def test_a_file_system_without_unnamed_files_gets_a_copy(bucket: folders.BucketFolder, tmp_path: Path) -> None:
    bucket.root.mkdir()
    with open(tmp_path / "named", "wb+") as file:
        file.write(b"content" * 1000)
        file.flush()
        os.unlink(file.name)
        writing = files.FileWriting(tree.Tree("photos", bucket.root), os.dup(file.fileno()), "copied")
        written = writing.commit(buckets.Writer(2))
        writing.close()
    assert os.getxattr(bucket.root / "copied", stamps.DEPTH_ATTRIBUTE) == b"2"
    assert os.getxattr(bucket.root / "copied", stamps.PUBLISHED_ATTRIBUTE) == written.version.encode()
    assert get(bucket, "copied") == b"content" * 1000


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden", "a/.b", "nul\0", "x" * 256,
     "/".join(["y" * 200] * 6), "\udc80"],
)  # fmt: skip
def test_what_is_not_a_key_is_refused_by_every_operation(bucket: folders.BucketFolder, key: str) -> None:
    put(bucket, "a")
    operations: list[Callable[[str], object]] = [bucket.open, bucket.begin, bucket.delete, bucket.stat]
    for operation in (*operations, lambda key: bucket.look(key, buckets.Sign.FOUND)):
        with pytest.raises(errors.BadRequest, match="bad object key"):
            operation(key)


def test_links_are_neither_followed_nor_listed(bucket: folders.BucketFolder, tmp_path: Path) -> None:
    put(bucket, "own")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (bucket.root / "file").symlink_to(tmp_path / "outside" / "secret")
    (bucket.root / "folder").symlink_to(tmp_path / "outside")
    for key in ("file", "folder/secret"):
        with pytest.raises(errors.NotFound):
            bucket.open(key)
        with pytest.raises(errors.NotFound):
            bucket.delete(key)
    with pytest.raises(errors.Conflict):
        put(bucket, "folder/new")
    assert keys(bucket) == ["own"]
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


def test_a_link_in_the_place_of_an_object_is_replaced_and_not_written_through(
    bucket: folders.BucketFolder, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    bucket.root.mkdir()
    (bucket.root / "a").symlink_to(tmp_path / "secret")
    put(bucket, "a", b"mine")
    assert (tmp_path / "secret").read_text() == "secret"
    assert get(bucket, "a") == b"mine"


def test_a_pipe_and_a_folder_are_no_objects(bucket: folders.BucketFolder) -> None:
    put(bucket, "folder/a")
    os.mkfifo(bucket.root / "pipe")
    for key in ("folder", "pipe", "missing", "folder/missing", "folder/a/b"):
        with pytest.raises(errors.NotFound):
            bucket.open(key)
        with pytest.raises(errors.NotFound):
            bucket.delete(key)
    assert keys(bucket) == ["folder/a"]


def test_a_key_cannot_be_object_and_folder(bucket: folders.BucketFolder) -> None:
    put(bucket, "a")
    put(bucket, "b/c")
    for key in ("a/b", "b"):
        with pytest.raises(errors.Conflict):
            put(bucket, key)
    assert keys(bucket) == ["a", "b/c"]
    assert not [path for path in bucket.root.iterdir() if path.name.startswith(".")]


def test_a_folder_that_has_become_empty_gives_way_to_an_object(bucket: folders.BucketFolder) -> None:
    put(bucket, "a/b")
    bucket.delete("a/b")
    put(bucket, "a")
    assert keys(bucket) == ["a"]


def test_a_deleted_object_is_not_there(bucket: folders.BucketFolder) -> None:
    put(bucket, "a/b")
    bucket.delete("a/b")
    with pytest.raises(errors.NotFound):
        bucket.delete("a/b")
    assert keys(bucket) == []


def test_names_with_a_dot_in_front_and_names_that_are_not_text_are_not_listed(bucket: folders.BucketFolder) -> None:
    put(bucket, "a/b")
    (bucket.root / ".hidden").write_text("")
    (bucket.root / ".folder").mkdir()
    (bucket.root / ".folder" / "c").write_text("")
    Path(os.fsdecode(os.fsencode(bucket.root) + b"/\xff")).write_text("")
    assert keys(bucket) == ["a/b"]


def test_the_deepest_key_is_listed_and_what_is_deeper_is_none(bucket: folders.BucketFolder) -> None:
    deepest = "a/" * 511 + "kk"
    put(bucket, deepest)
    folder = os.open(bucket.root, os.O_RDONLY)
    for name in deepest.split("/")[:-1]:
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("too-long", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.mkdir("b", dir_fd=folder)
    os.close(folder)
    assert keys(bucket) == [deepest]


def test_a_bucket_whose_folder_is_missing_is_empty(bucket: folders.BucketFolder) -> None:
    assert keys(bucket) == []
    with pytest.raises(errors.NotFound):
        bucket.stat("a")


@given(made=st.sets(KEYS, max_size=12), prefix=st.text("ab./ ä", max_size=2), data=st.data())
def test_lists_hold_just_the_keys_asked_for_in_order(
    tmp_path_factory: pytest.TempPathFactory, made: set[str], prefix: str, data: st.DataObject
) -> None:
    bucket = folders.BucketFolder("b", tmp_path_factory.mktemp("bucket"))
    there = []
    for key in sorted(made):
        try:
            put(bucket, key)
        except errors.Conflict:
            continue
        there.append(key)
    there.sort(key=str.encode)
    assert keys(bucket) == there
    after = data.draw(st.sampled_from([*there, "", "a", "zz"]))
    limit = data.draw(st.integers(0, 5))
    expected = [key for key in there if key.startswith(prefix) and key > after][:limit]
    assert keys(bucket, prefix=prefix, after=after, limit=limit) == expected


def test_a_bucket_lives_in_its_own_folder_or_in_the_data_directory(tmp_path: Path) -> None:
    open_bucket = buckets.opener(settings.of(data_dir=str(tmp_path / "data"), bucket_roots=str(tmp_path / "srv")).data)
    put_anywhere(open_bucket(model.Bucket(name="a")))
    put_anywhere(open_bucket(model.Bucket(name="a", path=str(tmp_path / "srv"))))
    assert (tmp_path / "data" / "buckets" / "a" / "k").exists()
    assert (tmp_path / "srv" / "k").exists()


def put_anywhere(bucket: buckets.Bucket) -> None:
    buckets.put(bucket, "k", b"x")


def _written(bucket: folders.BucketFolder, data: bytes) -> tuple[files.FileWriting, int]:
    """What a function is given to write to, with something written; and its inode."""
    writing = bucket.begin("a")
    os.write(writing.descriptor(), data)
    return writing, os.fstat(writing.descriptor()).st_ino


def test_what_nobody_can_write_any_more_is_published_without_a_copy(bucket: folders.BucketFolder) -> None:
    writing, inode = _written(bucket, b"once")
    writing.commit(buckets.Writer(3))
    writing.close()
    assert (bucket.root / "a").stat().st_ino == inode
    assert get(bucket, "a") == b"once"
    assert os.getxattr(bucket.root / "a", stamps.DEPTH_ATTRIBUTE) == b"3"
    assert [path.name for path in bucket.root.iterdir()] == ["a"]


def test_a_descriptor_that_somebody_keeps_writes_to_no_object(bucket: folders.BucketFolder) -> None:
    writing, inode = _written(bucket, b"published" * 100_000)
    kept = os.dup(writing.descriptor())
    writing.commit()
    writing.close()
    os.pwrite(kept, b"changed", 0)
    os.close(kept)
    assert (bucket.root / "a").stat().st_ino != inode
    assert get(bucket, "a") == b"published" * 100_000


def test_a_mapping_that_somebody_keeps_writes_to_no_object(bucket: folders.BucketFolder) -> None:
    writing, _ = _written(bucket, b"published")
    with mmap.mmap(writing.descriptor(), 9) as kept:
        writing.commit()
        kept[:7] = b"changed"
    writing.close()
    assert get(bucket, "a") == b"published"
