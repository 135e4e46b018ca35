"""One contract for every kind of bucket: what the port promises, whatever holds the objects."""

from __future__ import annotations

import contextlib
import os
import string
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.core import errors, model
from tests import memory_bucket
from tests.eventually import eventually_sync

KINDS: dict[str, Callable[[Path], buckets.Bucket]] = {
    "folder": lambda root: folders.BucketFolder("photos", root / "photos"),
    "memory": lambda root: memory_bucket.MemoryBucket("photos"),
}
NAMES = st.text(alphabet=string.ascii_letters + "-_ä雪", min_size=1, max_size=4)
WRITER = buckets.Writer(
    3,
    "0190b5a0-0000-7000-8000-000000000001",
    "0190b5a0-0000-7000-8000-000000000002",
    model.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1"),
)
MIB = 1 << 20


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def bucket(kind: str, tmp_path: Path) -> buckets.Bucket:
    return KINDS[kind](tmp_path)


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def feed(bucket: buckets.Bucket, woken: threading.Event) -> Iterator[buckets.Feed]:
    with contextlib.closing(bucket.watch(woken.set)) as opened:
        yield opened


def get(bucket: buckets.Bucket, key: str) -> bytes:
    with contextlib.closing(bucket.open(key)) as reading:
        return reading.read(0, 4 * MIB)


def keys(bucket: buckets.Bucket, prefix: str = "", after: str = "", limit: int = buckets.PAGE) -> list[str]:
    return [found.key for found in bucket.list(prefix, after, limit)]


def test_what_was_committed_is_read_back_in_parts_and_past_its_end(bucket: buckets.Bucket) -> None:
    written = buckets.put(bucket, "in/a b/ä %.jpg", b"0123456789")
    with contextlib.closing(bucket.open("in/a b/ä %.jpg")) as reading:
        assert reading.read(0, 4) + reading.read(4, 100) == b"0123456789"
        assert reading.read(10, 5) == b""
        assert reading.object() == written
    assert bucket.stat("in/a b/ä %.jpg") == written
    assert (written.key, written.size) == ("in/a b/ä %.jpg", 10)


def test_an_object_is_written_in_pieces_and_not_there_before_its_commit(bucket: buckets.Bucket) -> None:
    with contextlib.closing(bucket.begin("a")) as writing:
        for _ in range(3):
            writing.write(b"x" * MIB)
        assert keys(bucket) == []
        written = writing.commit()
    assert written.size == len(get(bucket, "a")) == 3 * MIB


def test_what_is_not_committed_leaves_nothing(bucket: buckets.Bucket) -> None:
    buckets.put(bucket, "a", b"old")
    writing = bucket.begin("a")
    writing.write(b"new")
    writing.close()
    writing.close()
    assert get(bucket, "a") == b"old"
    assert keys(bucket) == ["a"]


def test_an_empty_object_is_an_object(bucket: buckets.Bucket) -> None:
    assert buckets.put(bucket, "a", b"").size == 0
    assert get(bucket, "a") == b""
    assert keys(bucket) == ["a"]


def test_a_commit_replaces_and_who_reads_the_old_object_keeps_it(bucket: buckets.Bucket) -> None:
    old = buckets.put(bucket, "a", b"old")
    with contextlib.closing(bucket.open("a")) as reading:
        new = buckets.put(bucket, "a", b"old")
        bucket.delete("a")
        assert reading.read(0, 10) == b"old"
        assert reading.object() == old
    assert old.version != new.version
    assert old.etag != new.etag


def test_of_many_who_write_one_key_at_once_one_has_it_whole(bucket: buckets.Bucket) -> None:
    contents = [bytes([65 + number]) * MIB for number in range(8)]
    with futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda data: buckets.put(bucket, "in/a", data), contents))
    assert get(bucket, "in/a") in contents
    assert keys(bucket) == ["in/a"]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "nul\0", "x" * 256, "\udc80"])
def test_what_is_no_key_is_refused_by_every_operation(bucket: buckets.Bucket, key: str) -> None:
    operations: list[Callable[[str], object]] = [bucket.open, bucket.begin, bucket.delete, bucket.stat]
    for operation in (*operations, lambda key: bucket.look(key, buckets.Sign.FOUND)):
        with pytest.raises(errors.BadRequest):
            operation(key)


def test_what_is_not_there_is_not_found_by_any_operation(bucket: buckets.Bucket) -> None:
    buckets.put(bucket, "in/a", b"x")
    operations: list[Callable[[str], object]] = [bucket.open, bucket.delete, bucket.stat]
    for key in ("a", "in", "in/b", "in/b/c"):
        for operation in (*operations, lambda key: bucket.look(key, buckets.Sign.FOUND)):
            with pytest.raises(errors.NotFound):
                operation(key)


def test_a_deleted_object_is_gone_and_cannot_be_deleted_again(bucket: buckets.Bucket) -> None:
    buckets.put(bucket, "in/a", b"x")
    bucket.delete("in/a")
    with pytest.raises(errors.NotFound):
        bucket.delete("in/a")
    assert keys(bucket) == []


@hypothesis.given(
    made=st.sets(st.tuples(NAMES, NAMES).map("/".join), max_size=12),
    prefix=st.text("abA/ä", max_size=2),
    limit=st.integers(1, 5),
)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_pages_hold_just_the_keys_asked_for_in_order(
    kind: str, tmp_path_factory: pytest.TempPathFactory, made: set[str], prefix: str, limit: int
) -> None:
    bucket = KINDS[kind](tmp_path_factory.mktemp("bucket"))
    for key in made:
        buckets.put(bucket, key, b"x")
    found, after = [], ""
    while page := keys(bucket, prefix, after, limit):
        found += page
        after = page[-1]
        if len(page) < limit:
            break
    assert found == sorted((key for key in made if key.startswith(prefix)), key=str.encode)


def test_a_page_shows_what_is_there_when_it_is_asked_for(bucket: buckets.Bucket) -> None:
    for number in range(10):
        buckets.put(bucket, f"d{number // 5}/{number}", b"x")
    assert keys(bucket, limit=3) == ["d0/0", "d0/1", "d0/2"]
    bucket.delete("d0/3")
    buckets.put(bucket, "d0/2a", b"x")
    buckets.put(bucket, "d00/new", b"x")
    assert keys(bucket, after="d0/2", limit=3) == ["d0/2a", "d0/4", "d00/new"]
    assert keys(bucket, after="d00/new", limit=9) == [f"d1/{number}" for number in range(5, 10)]
    assert keys(bucket, after="d0/2", limit=3) == ["d0/2a", "d0/4", "d00/new"]


def test_a_list_of_nothing_is_empty(bucket: buckets.Bucket) -> None:
    assert keys(bucket) == []
    buckets.put(bucket, "a", b"x")
    assert keys(bucket, limit=0) == keys(bucket, prefix="b") == keys(bucket, after="a") == []


@pytest.mark.parametrize("sign", list(buckets.Sign))
def test_what_the_platform_published_is_complete_and_known_by_its_writer(
    bucket: buckets.Bucket, sign: buckets.Sign
) -> None:
    written = buckets.put(bucket, "a", b"x", WRITER)
    assert bucket.look("a", sign) == buckets.Found(written, is_complete=True, writer=WRITER)
    written = buckets.put(bucket, "a", b"from outside")
    assert bucket.look("a", sign) == buckets.Found(written, is_complete=True, writer=None)


def test_a_descriptor_reads_the_object_where_there_is_one(bucket: buckets.Bucket) -> None:
    buckets.put(bucket, "a", b"content")
    with contextlib.closing(bucket.open("a")) as reading:
        descriptor = reading.descriptor()
        if descriptor is not None:
            assert os.pread(descriptor, 100, 0) == b"content"
        reading.close()
        if descriptor is not None:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)


def test_what_is_written_through_a_kept_descriptor_after_the_commit_is_not_the_object(bucket: buckets.Bucket) -> None:
    with contextlib.closing(bucket.begin("a")) as writing:
        descriptor = writing.descriptor()
        if descriptor is None:
            writing.write(b"whole")
            writing.commit()
        else:
            os.write(descriptor, b"whole")
            kept = os.dup(descriptor)
            writing.commit()
            os.pwrite(kept, b"other", 0)
            os.close(kept)
    assert get(bucket, "a") == b"whole"


def test_a_feed_first_asks_for_a_comparison_and_then_tells_of_each_change(
    bucket: buckets.Bucket, feed: buckets.Feed, woken: threading.Event
) -> None:
    buckets.put(bucket, "before", b"x")
    first = feed.since("")
    assert first.prefixes == {buckets.EVERYTHING}
    buckets.put(bucket, "after", b"x")
    bucket.delete("before")
    assert woken.wait(5)
    heard = _heard(feed, first.cursor, {"after", "before"})
    assert heard["after"] is buckets.Sign.PUBLISHED


def _heard(feed: buckets.Feed, cursor: str, wanted: set[str]) -> dict[str, buckets.Sign]:
    """What a feed tells, until it has told of all that is wanted."""
    heard: dict[str, buckets.Sign] = {}

    def hear() -> bool:
        nonlocal cursor
        changes = feed.since(cursor)
        assert buckets.EVERYTHING not in changes.prefixes
        cursor = changes.cursor
        heard.update(changes.signs)
        return wanted <= set(heard)

    eventually_sync(hear)
    return heard


def test_who_asks_again_with_the_cursor_before_is_told_the_same_again(
    bucket: buckets.Bucket, feed: buckets.Feed, woken: threading.Event
) -> None:
    start = feed.since("").cursor
    start = feed.since(start).cursor
    buckets.put(bucket, "a", b"x")
    assert woken.wait(5)
    told = eventually_sync(lambda: dict(feed.since(start).signs))
    buckets.put(bucket, "b", b"x")
    eventually_sync(lambda: {*told, "b"} <= set(feed.since(start).signs))
    last = feed.since(start)
    assert eventually_sync(lambda: feed.since(last.cursor)).prefixes == frozenset()


def test_a_cursor_that_is_not_known_has_the_bucket_compared(bucket: buckets.Bucket, feed: buckets.Feed) -> None:
    for cursor in ("", "of another feed", "", ""):
        changes = feed.since(cursor)
        assert changes.prefixes == {buckets.EVERYTHING}
        assert feed.since(changes.cursor) == buckets.Changes(changes.cursor)


def test_many_changes_come_in_portions_until_all_are_told(bucket: buckets.Bucket, feed: buckets.Feed) -> None:
    cursor = feed.since("").cursor
    names = {f"k{number:04}" for number in range(1_500)}
    for name in names:
        buckets.put(bucket, name, b"")
    assert names <= set(_heard(feed, cursor, names))


def test_a_closed_feed_wakes_nobody(bucket: buckets.Bucket, feed: buckets.Feed, woken: threading.Event) -> None:
    feed.since("")
    feed.close()
    feed.close()
    woken.clear()
    buckets.put(bucket, "a", b"x")
    assert not woken.wait(0.1)


def test_a_sweep_leaves_what_is_there_and_what_is_being_written(bucket: buckets.Bucket) -> None:
    assert bucket.sweep() == 0
    buckets.put(bucket, "in/a", b"x")
    with contextlib.closing(bucket.begin("in/b")) as writing:
        writing.write(b"y")
        assert bucket.sweep() == 0
        writing.commit()
    assert (get(bucket, "in/a"), get(bucket, "in/b")) == (b"x", b"y")
