"""Keys and folders that would lead out of a bucket, also while somebody swaps them under the feet of who walks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.core import errors
from tests.hostile import effort

OUTSIDE = b"outside"
ROUNDS = 2_000
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2

PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "/", "in", "link", "pipe", "folder", "x" * 256, "a\0b", "\ud800", "~", "*", "%2e%2e", "..\\"]
    ),
    st.text(max_size=8),
)
KEYS = st.lists(PARTS, max_size=6).map("/".join)


@pytest.fixture
def bucket(tmp_path: Path) -> folders.BucketFolder:
    """A bucket with every kind of thing in it that is no object, and its neighbour that nobody may reach."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(OUTSIDE)
    root = tmp_path / "bucket"
    (root / "in").mkdir(parents=True)
    (root / "in" / "object").write_bytes(b"inside")
    (root / "link").symlink_to(outside)
    (root / "in" / "secret").symlink_to(outside / "secret")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "pipe")
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):
            os.mknod(root / "device", 0o020666, os.makedev(1, 5))
    return folders.BucketFolder("own", root)


@effort.bounded(300)
@hypothesis.given(key=st.one_of(KEYS, st.text()))
def test_no_key_leads_out_of_its_bucket(bucket: folders.BucketFolder, key: str) -> None:
    outside = bucket.root.parent / "outside"
    with contextlib.suppress(errors.FaasError), contextlib.closing(bucket.open(key)) as reading:
        assert reading.read(0, 100) != OUTSIDE
    with contextlib.suppress(errors.FaasError):
        bucket.delete(key)
    with contextlib.suppress(errors.FaasError):
        _write(bucket, key)
    bucket.list(prefix=key)
    assert sorted(path.name for path in bucket.root.parent.iterdir()) == ["bucket", "outside"]
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == OUTSIDE


def _write(bucket: folders.BucketFolder, key: str) -> None:
    buckets.put(bucket, key, b"")


@pytest.mark.parametrize("key", ["pipe", "device", "link/secret", "in/secret", "up/outside/secret", "in", "link"])
def test_what_is_no_plain_file_of_the_bucket_is_no_object(bucket: folders.BucketFolder, key: str) -> None:
    for ask in (bucket.open, bucket.stat, bucket.delete):
        with pytest.raises(errors.FaasError):
            ask(key)
    assert [found.key for found in bucket.list()] == ["in/object"]


def test_a_folder_that_becomes_a_link_while_it_is_walked_leads_nowhere(bucket: folders.BucketFolder) -> None:
    outside = bucket.root.parent / "outside"
    folder, link = bucket.root / "swapped", bucket.root / ".link"
    folder.mkdir()
    (folder / "secret").write_bytes(b"inside")
    link.symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            _exchange(folder, link)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(ROUNDS):
            with contextlib.suppress(errors.FaasError), contextlib.closing(bucket.open("swapped/secret")) as reading:
                assert reading.read(0, 100) == b"inside"
            with contextlib.suppress(errors.FaasError):
                _write(bucket, "swapped/new")
            bucket.list()
    finally:
        stop.set()
        swapping.join()
    assert [path.name for path in outside.iterdir()] == ["secret"]


def _exchange(one: Path, other: Path) -> None:
    """Give each the other's name, with no moment between."""
    if LIBC.renameat2(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "not exchanged")
