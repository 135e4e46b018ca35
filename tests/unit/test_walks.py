"""Walks that rest between two pages: they save reading, change no page, and are bounded."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import listing, ordered, walks
from tests.eventually import eventually_sync

Read = list[str]


@pytest.fixture
def kept() -> walks.Walks:
    return walks.Walks()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bucket's folder with two folders of six objects each, and six beside them."""
    root = tmp_path / "photos"
    for name in ("", "b/", "d/"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(6):
            (root / f"{name}k{number}").touch()
    return root


@pytest.fixture
def bucket(root: Path, kept: walks.Walks) -> folders.BucketFolder:
    return folders.BucketFolder("photos", root, kept)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let walks rest over folders that have just changed: the tests wait for the file system's clock themselves."""
    monkeypatch.setattr(listing, "_SETTLED_NS", 0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """How often a folder was read."""
    times: Read = []
    original = listing.Walk._names

    def counted(self: listing.Walk, fd: int, path: str) -> ordered.Names:
        times.append(path)
        return original(self, fd, path)

    monkeypatch.setattr(listing.Walk, "_names", counted)
    return times


def _tick(folder: Path) -> None:
    """Wait until a change would have another time than the last one: file systems keep time in steps."""
    probe = folder.parent / "probe"

    def is_later() -> bool:
        probe.touch()
        return probe.stat().st_mtime_ns > max(folder.stat().st_mtime_ns, folder.stat().st_ctime_ns)

    eventually_sync(is_later)


def _pages(bucket: buckets.Bucket, limit: int, prefix: str = "") -> list[str]:
    found, after = [], ""
    while page := [each.key for each in bucket.list(prefix, after, limit)]:
        found += page
        after = page[-1]
    return found


@pytest.mark.usefixtures("at_once")
def test_each_folder_is_read_once_for_all_pages(bucket: folders.BucketFolder, root: Path, read: Read) -> None:
    _tick(root)
    whole = _pages(bucket, 100)
    assert len(whole) == 18
    for limit in (2, 5, 7):
        read.clear()
        assert _pages(bucket, limit) == whole
        # Past the last whole page no walk rests: the page that is empty is found by a new one.
        assert [path for path in read if path] == ["b/", "d/"]
        assert read.count("") <= 2


def test_over_a_folder_that_has_just_changed_no_walk_rests(bucket: folders.BucketFolder, kept: walks.Walks) -> None:
    bucket.list(limit=3)
    assert len(kept) == 0


@pytest.mark.usefixtures("at_once")
def test_who_looks_one_object_up_leaves_no_walk(bucket: folders.BucketFolder, root: Path, kept: walks.Walks) -> None:
    _tick(root)
    bucket.list("k3", limit=1)
    assert len(kept) == 0


@pytest.mark.usefixtures("at_once")
def test_a_walk_that_rests_holds_no_descriptor(bucket: folders.BucketFolder, root: Path, kept: walks.Walks) -> None:
    _tick(root)
    before = len(os.listdir("/proc/self/fd"))
    bucket.list(limit=3)
    assert len(kept) == 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(_pages(bucket, 4)) == 18
    assert len(os.listdir("/proc/self/fd")) == before


CHANGES: dict[str, Callable[[Path], object]] = {
    "a name comes": lambda root: (root / "b" / "k2a").touch(),
    "a name goes": lambda root: (root / "b" / "k4").unlink(),
    "a name comes in the outer folder": lambda root: (root / "c").touch(),
    "the folder goes": lambda root: shutil.rmtree(root / "b"),
    "the folder becomes an object": lambda root: (shutil.rmtree(root / "b"), (root / "b").touch()),
    "the folder becomes a link": lambda root: (
        (root / "b").rename(root.parent / "b"),
        (root / "b").symlink_to(root.parent / "b"),
    ),
    "the folder is another one": lambda root: (
        shutil.move(root / "b", root.parent / "old"),
        (root / "b").mkdir(),
        (root / "b" / "z").touch(),
    ),
    "the bucket is another one": lambda root: (root.rename(root.parent / "old"), (root / "b").mkdir(parents=True)),
    "the bucket goes": lambda root: root.rename(root.parent / "old"),
}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_two_pages_is_seen(
    bucket: folders.BucketFolder, root: Path, kept: walks.Walks, change: str
) -> None:
    _tick(root)
    _tick(root / "b")
    assert [each.key for each in bucket.list(limit=3)] == ["b/k0", "b/k1", "b/k2"]
    assert len(kept) == 1
    CHANGES[change](root)
    fresh = folders.BucketFolder("photos", root)
    assert bucket.list(after="b/k2", limit=100) == fresh.list(after="b/k2", limit=100)


@pytest.mark.usefixtures("at_once")
def test_an_object_that_is_written_to_between_two_pages_is_shown_as_it_is(
    bucket: folders.BucketFolder, root: Path
) -> None:
    _tick(root / "b")
    bucket.list(limit=3)
    (root / "b" / "k3").write_text("longer")
    assert bucket.list(after="b/k2", limit=1)[0].size == 6


@pytest.mark.usefixtures("at_once")
def test_pages_are_the_same_as_without_kept_walks_whatever_changes_meanwhile(
    bucket: folders.BucketFolder, root: Path, kept: walks.Walks
) -> None:
    chance = random.Random(14)
    after, was_kept = "", 0
    for _ in range(300):
        for folder in (root, root / "b", root / "d"):
            _tick(folder)
        if chance.random() < 0.3:
            name = root / chance.choice(["", "b/", "d/"]) / f"k{chance.randrange(9)}"
            name.unlink() if name.exists() else name.touch()
        page = bucket.list(after=after, limit=2)
        assert page == folders.BucketFolder("photos", root).list(after=after, limit=2)
        was_kept += len(kept)
        after = page[-1].key if len(page) == 2 else ""
    assert was_kept > 100


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _resting(root: Path) -> listing.Walk:
    fd = os.open(root, os.O_RDONLY)
    try:
        walk = listing.Walk(fd, "", "")
        walk.close()
        return walk
    finally:
        os.close(fd)


def test_the_oldest_walks_give_way_to_more_than_may_rest(root: Path) -> None:
    kept = walks.Walks(most=2)
    places = [walks.WalkPlace(root, "", f"k{number}") for number in range(3)]
    for place in places:
        kept.keep(place, _resting(root))
    assert len(kept) == 2
    fd = os.open(root, os.O_RDONLY)
    assert kept.take(places[0], fd) is None
    os.close(fd)


def test_the_names_that_rest_are_bounded_and_a_walk_of_more_is_not_kept(root: Path) -> None:
    kept = walks.Walks(most_names=17)
    for number in range(4):
        kept.keep(walks.WalkPlace(root, "", f"k{number}"), _resting(root))  # eight names each
    assert (len(kept), kept.names) == (2, 16)
    narrow = walks.Walks(most_names=7)
    narrow.keep(walks.WalkPlace(root, "", "k"), _resting(root))
    assert len(narrow) == 0


def test_a_walk_that_nobody_asks_for_is_thrown_away(root: Path) -> None:
    clock = Clock()
    kept = walks.Walks(idle_s=30, clock=clock)
    kept.keep(walks.WalkPlace(root, "", "old"), _resting(root))
    clock.now_s = 20
    kept.keep(walks.WalkPlace(root, "", "young"), _resting(root))
    clock.now_s = 30
    kept.expire()
    assert len(kept) == 1
    clock.now_s = 50
    kept.expire()
    assert len(kept) == 0


def test_walks_expire_by_themselves(root: Path) -> None:
    kept = walks.Walks(idle_s=0.05)
    kept.keep(walks.WalkPlace(root, "", "k"), _resting(root))
    eventually_sync(lambda: len(kept) == 0)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 40])
def test_names_come_in_their_order_however_many_parts_they_were_sorted_in(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(ordered, "PART", 4)
    given = [f"{number * 7 % 41:02d}" for number in range(count)]
    names = ordered.Names(ordered.in_parts(iter(given)))
    assert len(names) == count
    assert [names.pop() for _ in range(count)] == sorted(given)
    assert not len(names)
    with pytest.raises(IndexError):
        names.pop()
