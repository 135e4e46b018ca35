"""What a folder tells of its changes beyond the contract: what is no object, what is lost, what cannot be watched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import feed as feeds
from faas.core import errors
from tests.eventually import eventually_sync


@pytest.fixture
def bucket(tmp_path: Path) -> folders.BucketFolder:
    return folders.BucketFolder("photos", tmp_path / "photos")


@pytest.fixture
def feed(bucket: folders.BucketFolder) -> Iterator[feeds.FolderFeed]:
    with contextlib.closing(bucket.watch(lambda: None)) as opened:
        yield opened


def _until(feed: buckets.Feed, cursor: str, key: str, sign: buckets.Sign) -> tuple[dict[str, buckets.Sign], set[str]]:
    """All signs and prefixes until that key is told with that sign."""
    signs: dict[str, buckets.Sign] = {}
    prefixes: set[str] = set()

    def hear() -> bool:
        nonlocal cursor
        changes = feed.since(cursor)
        cursor = changes.cursor
        signs.update(changes.signs)
        prefixes.update(changes.prefixes)
        return signs.get(key) is sign

    eventually_sync(hear)
    return signs, prefixes


def test_names_that_are_no_objects_are_not_told_and_new_folders_are(
    bucket: folders.BucketFolder, feed: feeds.FolderFeed
) -> None:
    cursor = feed.since("").cursor
    (bucket.root / ".hidden").write_text("x")
    (bucket.root / ".folder").mkdir()
    (bucket.root / "folder").mkdir()
    (bucket.root / "folder" / ".hidden").mkdir()
    buckets.put(bucket, "published", b"x")
    (bucket.root / "written").write_text("x")
    signs, prefixes = _until(feed, cursor, "written", buckets.Sign.CLOSED)
    # The kernel tells of files without a name, too, under the name "#" and a number: no sign is a promise.
    assert {key for key in signs if not key.startswith("#")} == {"published", "written"}
    assert signs["published"] is buckets.Sign.PUBLISHED
    assert prefixes == {"folder/"}


def test_when_more_keys_wait_than_are_kept_the_bucket_is_compared_instead(
    bucket: folders.BucketFolder, feed: feeds.FolderFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_MOST_KEPT", 10)
    cursor = feed.since("").cursor
    for number in range(11):
        buckets.put(bucket, str(number), b"")
    eventually_sync(lambda: feed._prefixes)
    assert feed.since(cursor).prefixes == {buckets.EVERYTHING}


def test_a_folder_that_was_made_again_is_watched_and_compared(
    bucket: folders.BucketFolder, feed: feeds.FolderFeed
) -> None:
    cursor = feed.since("").cursor
    bucket.root.rename(bucket.root.parent / "old")
    changes = eventually_sync(lambda: (told := feed.since(cursor)).prefixes and told)
    assert changes.prefixes == {buckets.EVERYTHING}
    buckets.put(bucket, "new", b"x")
    _until(feed, changes.cursor, "new", buckets.Sign.PUBLISHED)


def test_a_bucket_that_cannot_be_watched_says_so_and_is_watched_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "photos").touch()
    bucket = folders.BucketFolder("photos", tmp_path / "photos" / "in")
    with contextlib.closing(bucket.watch(lambda: None)) as feed:
        for _ in range(2):
            with pytest.raises(errors.FaasError):
                feed.since("")
        (tmp_path / "photos").unlink()
        assert feed.since("").prefixes == {buckets.EVERYTHING}


def test_a_closed_feed_holds_nothing_and_starts_nothing(bucket: folders.BucketFolder) -> None:
    before = len(os.listdir("/proc/self/fd"))
    feed = bucket.watch(lambda: None)
    feed.since("")
    feed.close()
    assert feed.since("") == buckets.Changes("")
    assert len(os.listdir("/proc/self/fd")) == before
