"""One look at one file: whether it is complete, and how deep in a chain it was written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faas import buckets
from faas.buckets.folder import bucket as folders
from triggers import backlog, complete

FOUND = backlog.Look("k", buckets.Sign.FOUND)


@pytest.fixture
def bucket(tmp_path: Path) -> folders.BucketFolder:
    return folders.BucketFolder("b", tmp_path)


def test_a_file_that_somebody_has_open_for_writing_grows(bucket: folders.BucketFolder) -> None:
    with (bucket.root / "k").open("wb"):
        assert complete.see(bucket, FOUND).state is complete.State.GROWING
    assert complete.see(bucket, FOUND).state is complete.State.COMPLETE


def test_what_the_platform_published_is_complete_although_it_is_only_found_and_open(
    bucket: folders.BucketFolder,
) -> None:
    writing = bucket.begin("k")
    writing.write(b"whole")
    written = writing.commit(buckets.Writer(4))
    fd = writing.descriptor()
    seen = complete.see(bucket, FOUND)
    assert (seen.state, seen.object, seen.depth) == (complete.State.COMPLETE, written, 5)
    os.write(fd, b" and more")
    assert complete.see(bucket, FOUND).state is complete.State.GROWING
    writing.close()
    seen = complete.see(bucket, FOUND)
    assert (seen.state, seen.depth) == (complete.State.COMPLETE, 0)


def test_what_is_not_there_is_gone(bucket: folders.BucketFolder) -> None:
    (bucket.root / "folder").mkdir()
    for key in ("k", "folder", ".hidden", "folder/k"):
        assert complete.see(bucket, backlog.Look(key, buckets.Sign.FOUND)).state is complete.State.GONE
