from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers import inotify

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import stamps, watch
from faas.core import model
from faas.core import settings as settings_module
from faas.health import facts
from faas.health import unfit as health
from faas.queue import census, guards, outbox, records
from faas.queue import unfit as unfit_told
from faas.queue.bounds import Bounds
from faas.queue.invocations import Queue
from faas.store import database
from faas.store.functions import Functions
from tests.eventually import eventually, eventually_sync
from triggers import matching, newcomers, unfit, upload


@pytest.fixture
async def queue(settings: settings_module.Settings) -> AsyncIterator[Queue]:
    opened = await Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    yield opened
    opened.close()


@pytest.fixture
def functions(settings: settings_module.Settings) -> Functions:
    return Functions(database.open_database(settings.data))


@pytest.fixture
def folder(settings: settings_module.Settings) -> Path:
    """The bucket's folder; the bucket's name is ``b``."""
    path = settings.data.root / "buckets" / "b"
    path.mkdir(parents=True)
    return path


def _deploy(functions: Functions, *triggers: model.UploadTrigger, name: str = "f", bucket: str = "b") -> model.Revision:
    config = model.FunctionConfig(
        runtime="python3", handler="app.handler", triggers=triggers or (model.UploadTrigger(bucket="b"),)
    )
    revision = functions.add_revision(name, "0" * 64, config)
    functions.activate([revision], [model.Bucket(name=bucket)])
    return revision


class Arrivals:
    """The invocations that have arrived for a revision, claimed as they come."""

    def __init__(self, queue: Queue, ref: str = "f@1") -> None:
        self._queue = queue
        self._ref = ref
        self.invocations: list[model.Invocation] = []

    async def keys(self) -> Counter[str]:
        self.invocations += [claim.invocation for claim in await self._queue.claim("n", self._ref, 2_000)]
        return Counter(_key(invocation) for invocation in self.invocations)

    def are(self, *keys: str) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            found = await self.keys()
            assert found == Counter(keys)
            return True

        return check


def _record(invocation: model.Invocation) -> dict[str, Any]:
    (record,) = json.loads(invocation.event)["Records"]
    found: dict[str, Any] = record["s3"]["object"]
    return found


def _key(invocation: model.Invocation) -> str:
    return urllib.parse.unquote_plus(_record(invocation)["key"])


@pytest.fixture
def arrivals(queue: Queue) -> Arrivals:
    return Arrivals(queue)


@contextlib.asynccontextmanager
async def _watching(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    within: float = 5,
) -> AsyncIterator[None]:
    """A running trigger; entered once it has noticed a first object, ``ready``.

    That may be the comparison at the start, which comes to it after the objects that sort before.
    """
    stop = asyncio.Event()
    task = asyncio.create_task(upload.run(settings.sandboxes, settings.data, queue, functions, stop))
    try:
        (folder / "ready").write_text("")
        await eventually(lambda: _has(arrivals, "ready"), within)
        yield
    finally:
        stop.set()
        await task


async def _has(arrivals: Arrivals, key: str) -> bool:
    return (await arrivals.keys())[key] > 0


async def test_a_written_file_arrives_once_with_its_key_as_s3_would_encode_it(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    names = ["plain.txt", "a b.txt", "100%.txt", "a+b.txt", "ünï/日本 語.png", "q?&=#.txt", "deep/er/and/deeper/x"]
    async with _watching(settings, queue, functions, folder, arrivals):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
        await eventually(arrivals.are("ready", *names))
    assert {_record(invocation)["size"] for invocation in arrivals.invocations} >= {9, 7}


async def test_a_file_is_not_delivered_while_somebody_writes_it(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    with (folder / "before-start").open("wb", buffering=0) as before:
        before.write(b"half")
        os.utime(before.fileno(), (1, 1))
        async with _watching(settings, queue, functions, folder, arrivals):
            with (folder / "since").open("wb", buffering=0) as since:
                since.write(b"half")
                (folder / "whole").write_bytes(b"whole")
                (folder / "since").rename(folder / "renamed")
                await eventually(arrivals.are("ready", "whole"))
                since.write(b" more")
            before.write(b" more")
            before.close()
            await eventually(arrivals.are("ready", "whole", "renamed", "before-start"))
    sizes = {_key(invocation): _record(invocation)["size"] for invocation in arrivals.invocations}
    assert sizes["renamed"] == sizes["before-start"] == 9


async def test_an_object_that_the_platform_publishes_arrives_although_a_descriptor_of_it_is_still_open(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    bucket = folders.BucketFolder("b", folder)
    async with _watching(settings, queue, functions, folder, arrivals):
        writing = bucket.begin("out/published")
        writing.write(b"whole")
        published = writing.commit()
        await eventually(arrivals.are("ready", "out/published"))
        writing.close()
    assert _record(arrivals.invocations[-1])["versionId"] == published.version
    assert _record(arrivals.invocations[-1])["eTag"] == published.etag


async def test_files_moved_or_linked_into_place_arrive_and_unfinished_names_do_not(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    tmp_path: Path,
) -> None:
    _deploy(functions)
    (tmp_path / "outside").write_text("x")
    (tmp_path / "linked").write_text("x")
    async with _watching(settings, queue, functions, folder, arrivals):
        for name in (".hidden", "a~", "b.tmp", "c.part", "d.crdownload", ".e.swp"):
            (folder / name).write_text("x")
        (folder / "c.part").rename(folder / "c")
        (tmp_path / "outside").rename(folder / "moved")
        os.link(tmp_path / "linked", folder / "linked")
        await eventually(arrivals.are("ready", "c", "moved", "linked"))


async def test_folders_moved_in_and_made_deep_at_once_arrive_whole(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    tmp_path: Path,
) -> None:
    _deploy(functions)
    for number in range(20):
        (tmp_path / f"album/{number % 4}/x").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"album/{number % 4}/x/{number}").write_text("x")
    expected = [f"{top}/{number % 4}/x/{number}" for number in range(20) for top in ("moved", "copied")]
    async with _watching(settings, queue, functions, folder, arrivals):
        shutil.copytree(tmp_path / "album", folder / "copied")
        (tmp_path / "album").rename(folder / "moved")
        await eventually(arrivals.are("ready", *expected))


async def test_the_same_version_never_runs_twice_and_a_new_one_does(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    async with _watching(settings, queue, functions, folder, arrivals):
        (folder / "k").write_text("one")
        await eventually(arrivals.are("ready", "k"))
        with (folder / "k").open("a"):
            pass
        (folder / "k").write_text("two!")
        await eventually(arrivals.are("ready", "k", "k"))
    async with _watching(settings, queue, functions, folder, arrivals):
        (folder / "last").write_text("x")
        await eventually(lambda: _has(arrivals, "last"))
    assert (await arrivals.keys())["k"] == 2


async def test_two_schedulers_deliver_each_object_once(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    stop = asyncio.Event()
    other = asyncio.create_task(upload.run(settings.sandboxes, settings.data, queue, functions, stop))
    async with _watching(settings, queue, functions, folder, arrivals):
        names = [f"n{number}" for number in range(200)]
        for name in names:
            (folder / name).write_text(name)
        await eventually(arrivals.are("ready", *names))
        stop.set()
        await other
    assert (await arrivals.keys())["n0"] == 1


async def test_what_changed_while_the_platform_was_down_is_found_at_start_and_what_went_is_forgotten(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    for name in ("same", "changed", "gone"):
        (folder / name).write_text("1")
    async with _watching(settings, queue, functions, folder, arrivals):
        await eventually(arrivals.are("ready", "same", "changed", "gone"))
    (folder / "ready").unlink()
    (folder / "gone").unlink()
    (folder / "changed").write_text("22")
    (folder / "new").write_text("new")
    async with _watching(settings, queue, functions, folder, arrivals):
        await eventually(lambda: _has(arrivals, "new"))
        await eventually(lambda: _forgotten(queue, "gone"))
        found = await arrivals.keys()
    assert found["changed"] == 2
    assert found["same"] == found["gone"] == 1


async def _forgotten(queue: Queue, key: str) -> bool:
    fields = await guards.items(queue, matching.guard_key("b"))
    return key not in {matching.key_of(field) for field in fields}


async def test_a_deleted_object_is_forgotten(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    async with _watching(settings, queue, functions, folder, arrivals):
        assert not await _forgotten(queue, "ready")
        (folder / "ready").unlink()
        await eventually(lambda: _forgotten(queue, "ready"))


async def test_ten_thousand_objects_that_were_there_before_arrive_once_each(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    for number in range(10_000):
        path = folder / f"{number % 10}"
        path.mkdir(exist_ok=True)
        (path / str(number)).touch()
    _deploy(functions)
    async with _watching(settings, queue, functions, folder, arrivals, within=60):
        await eventually(lambda: _count(arrivals, 10_001), within=60)
    assert set((await arrivals.keys()).values()) == {1}


async def _count(arrivals: Arrivals, expected: int) -> bool:
    return (await arrivals.keys()).total() == expected


async def test_a_full_queue_delays_objects_and_loses_none(
    settings: settings_module.Settings, functions: Functions, folder: Path, prefix: str
) -> None:
    narrow = await Queue.connect(settings.redis.redis_url, prefix, Bounds(asynchronous=5))
    arrivals = Arrivals(narrow)
    _deploy(functions)
    names = [f"n{number}" for number in range(30)]
    for name in names:
        (folder / name).write_text(name)
    async with _watching(settings, narrow, functions, folder, arrivals):
        await eventually(arrivals.are("ready", *names), within=10)
    narrow.close()


async def test_a_new_trigger_and_a_second_function_see_what_is_in_the_bucket(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions, model.UploadTrigger(bucket="b", suffix=(".txt", "ready")))
    (folder / "a.txt").write_text("x")
    (folder / "b.png").write_text("x")
    second, renewed = Arrivals(queue, "g@1"), Arrivals(queue, "f@2")
    async with _watching(settings, queue, functions, folder, arrivals):
        await eventually(arrivals.are("ready", "a.txt"))
        _deploy(functions, model.UploadTrigger(bucket="b", existing=model.Existing.RUN), name="g")
        await eventually(second.are("ready", "a.txt", "b.png"))
        wider = model.UploadTrigger(bucket="b", suffix=(".txt", ".png", "ready"), existing=model.Existing.RUN)
        _deploy(functions, wider)
        await eventually(renewed.are("b.png"))


async def test_a_new_trigger_skips_what_is_there_already_and_so_does_one_that_becomes_wider(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions, model.UploadTrigger(bucket="b", suffix=(".txt", "ready")))
    for name in ("a.txt", "b.png"):
        (folder / name).write_text("x")
    second, renewed = Arrivals(queue, "g@1"), Arrivals(queue, "f@2")
    async with _watching(settings, queue, functions, folder, arrivals):
        await eventually(arrivals.are("ready", "a.txt"))
        _deploy(functions, name="g")
        _deploy(functions, model.UploadTrigger(bucket="b", suffix=(".txt", ".png", "ready")))
        await eventually(lambda: _settled(queue, "f", "g"))
        (folder / "new.png").write_text("x")
        (folder / "a.txt").write_text("again")
        await eventually(second.are("new.png", "a.txt"))
        await eventually(renewed.are("new.png", "a.txt"))
    async with _watching(settings, queue, functions, folder, renewed):
        (folder / "last.png").write_text("x")
        await eventually(lambda: _has(second, "last.png"))
    assert set(await second.keys()) == {"new.png", "a.txt", "ready", "last.png"}
    _deploy(functions, model.UploadTrigger(bucket="b", existing=model.Existing.RUN), name="g")
    third = Arrivals(queue, "g@2")
    async with _watching(settings, queue, functions, folder, third):
        await eventually(third.are("ready", "b.png"))


async def _settled(queue: Queue, *names: str) -> bool:
    held = await guards.items(queue, newcomers.KEY)
    met = {field.split("\x1f")[1]: value for field, value in held.items() if field}
    return set(names) <= set(met) and not any("news" in value for value in met.values())


async def test_what_came_while_nothing_ran_is_found_although_its_trigger_has_changed_meanwhile(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions, model.UploadTrigger(bucket="b", suffix=(".txt", "ready")))
    async with _watching(settings, queue, functions, folder, arrivals):
        pass
    for name in ("came.txt", "came.png"):
        (folder / name).write_text("x")
    _deploy(functions, model.UploadTrigger(bucket="b", suffix=(".txt", ".png", "ready")))
    renewed = Arrivals(queue, "f@2")
    async with _watching(settings, queue, functions, folder, renewed):
        await eventually(renewed.are("ready", "came.txt"))


async def test_what_is_moved_out_and_back_within_a_moment_runs_again_once(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    tmp_path: Path,
) -> None:
    _deploy(functions)
    (folder / "album").mkdir()
    for name in ("k", "album/1", "stays"):
        (folder / name).write_text("x")
    stop = asyncio.Event()
    other = asyncio.create_task(upload.run(settings.sandboxes, settings.data, queue, functions, stop))
    async with _watching(settings, queue, functions, folder, arrivals):
        await eventually(arrivals.are("ready", "k", "album/1", "stays"))
        for count in (2, 3):
            (folder / "k").rename(tmp_path / "k")
            (tmp_path / "k").rename(folder / "k")
            await eventually(arrivals.are("ready", "album/1", "stays", *["k"] * count))
        with (folder / "k").open("a"):
            pass
        stop.set()
        await other
        (folder / "album").rename(tmp_path / "album")
        (tmp_path / "album").rename(folder / "album")
        await eventually(arrivals.are("ready", "album/1", "album/1", "stays", "k", "k", "k"))
    async with _watching(settings, queue, functions, folder, arrivals):
        (folder / "last").write_text("x")
        await eventually(lambda: _has(arrivals, "last"))
    assert (await arrivals.keys())["k"] == 3


@pytest.mark.parametrize(("written_at", "expected"), [("0", 1), ("15", 16), (None, 0), ("nonsense", 0)])
async def test_the_depth_of_a_chain_travels_with_the_object(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    written_at: str | None,
    expected: int,
) -> None:
    _deploy(functions)
    async with _watching(settings, queue, functions, folder, arrivals):
        (folder / "k.tmp").write_text("x")
        if written_at is not None:
            os.setxattr(folder / "k.tmp", stamps.DEPTH_ATTRIBUTE, written_at.encode())
        (folder / "k.tmp").rename(folder / "k")
        await eventually(arrivals.are("ready", "k"))
    assert arrivals.invocations[-1].depth == expected


@pytest.mark.parametrize(("written_at", "depth"), [(b"16", 17), (b"9" * 30, 10_000), (b"9" * 900, 10_000)])
async def test_a_chain_stops_past_sixteen_links_with_a_record_and_an_alert(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    caplog: pytest.LogCaptureFixture,
    written_at: bytes,
    depth: int,
) -> None:
    _deploy(functions)
    reader = await records.RecordsReader.open(settings.redis.redis_url, settings.redis.redis_prefix, "r")
    async with _watching(settings, queue, functions, folder, arrivals):
        (folder / "k.tmp").write_text("x")
        os.setxattr(folder / "k.tmp", stamps.DEPTH_ATTRIBUTE, written_at)
        (folder / "k.tmp").rename(folder / "k")
        await eventually(lambda: "chain_stopped" in caplog.messages)
    async with _watching(settings, queue, functions, folder, arrivals):
        (folder / "last").write_text("x")
        await eventually(lambda: _has(arrivals, "last"))
    assert (await arrivals.keys())["k"] == 0
    assert caplog.messages.count("chain_stopped") == 1
    (record,) = (await reader.read(10, 1)).records
    await reader.close()
    assert record.error is not None
    assert (record.status, record.error.type) == (model.Status.REJECTED, "Platform.ChainTooDeep")
    assert (record.depth, record.dead, record.billed_ms, record.trigger) == (depth, True, 0, "upload")
    counts = (await queue.counts())["f@1"]
    assert (counts.dead, counts.drift) == (1, 0)


async def test_a_chain_that_stops_tells_the_destination_of_its_last_link(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    config = model.FunctionConfig(
        runtime="python3",
        handler="app.handler",
        triggers=(model.UploadTrigger(bucket="b"),),
        on_failure=model.ToFunction(function="f"),
    )
    functions.activate([functions.add_revision("f", "0" * 64, config)], [model.Bucket(name="b")])
    bucket = folders.BucketFolder("b", folder)
    async with _watching(settings, queue, functions, folder, arrivals):
        for key, depth in (("stops", 16), ("tells-nobody", 17)):
            buckets.put(bucket, key, b"", buckets.Writer(depth))
        await eventually(lambda: _dead(queue, 2))
    (box,) = await outbox.lengths(queue)
    (entry,) = await outbox.take(queue, box, "s", 9, 0)
    assert (entry.settled.condition, entry.invocation.depth) == (model.Condition.CHAIN_TOO_DEEP, 17)
    assert (await census.held(queue)).is_right


async def _dead(queue: Queue, count: int) -> bool:
    return (await queue.counts())["f@1"].dead == count


async def test_what_somebody_writes_into_an_object_of_a_chain_begins_a_new_one(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    bucket = folders.BucketFolder("b", folder)
    async with _watching(settings, queue, functions, folder, arrivals):
        buckets.put(bucket, "k", b"", buckets.Writer(15))
        await eventually(arrivals.are("ready", "k"))
        (folder / "k").write_text("by a person")
        await eventually(arrivals.are("ready", "k", "k"))
    assert [invocation.depth for invocation in arrivals.invocations] == [0, 16, 0]


@pytest.mark.parametrize("how", ["moved away", "removed"])
async def test_a_bucket_that_is_removed_and_made_again_is_watched_again(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals, how: str
) -> None:
    _deploy(functions)
    async with _watching(settings, queue, functions, folder, arrivals):
        if how == "removed":
            shutil.rmtree(folder)
        else:
            folder.rename(folder.parent / "old")
        folder.mkdir()
        (folder / "in-the-new-one").write_text("x")
        await eventually(lambda: _has(arrivals, "in-the-new-one"))
        (folder / "later").write_text("x")
        await eventually(lambda: _has(arrivals, "later"))


async def test_a_bucket_that_a_deploy_adds_is_watched_from_then_on(
    settings: settings_module.Settings, queue: Queue, functions: Functions, folder: Path, arrivals: Arrivals
) -> None:
    _deploy(functions)
    added = Arrivals(queue, "g@1")
    async with _watching(settings, queue, functions, folder, arrivals):
        _deploy(functions, model.UploadTrigger(bucket="c"), name="g", bucket="c")
        await eventually((folder.parent / "c").is_dir)
        (folder.parent / "c" / "k").write_text("x")
        (folder / "k").write_text("x")
        await eventually(added.are("k"))
        await eventually(arrivals.are("ready", "k"))


@pytest.mark.parametrize("polling_only", [False, True])
def test_inotify_and_polling_tell_of_the_same_objects(tmp_path: Path, polling_only: bool) -> None:
    seen: dict[str, buckets.Sign] = {}
    watching = watch.FolderWatch(tmp_path, lambda key, sign: seen.update({key: sign}), lambda _: None, lambda: None)
    watching.start(polling_only=polling_only)
    try:
        assert watching.is_polling is polling_only
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "k").write_text("x")
        eventually_sync(lambda: "d/k" in seen, within=10)
    finally:
        watching.stop()


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        watch.FolderWatch(tmp_path / "none", lambda *_: None, lambda _: None, lambda: None)


def test_a_folder_that_is_met_twice_is_watched_once_and_nothing_is_said(tmp_path: Path) -> None:
    watching = watch.FolderWatch(tmp_path, lambda *_: None, lambda _: None, lambda: None)
    watching.start()
    try:
        observer = watching._observer
        assert isinstance(observer, watch._InotifyObserver)
        (emitter,) = observer.emitters
        assert isinstance(emitter, inotify.InotifyEmitter)
        group = emitter._inotify
        assert group is not None
        (tmp_path / "d").mkdir()
        for _ in range(2):  # by the walk through a folder that is new, and by its own event
            group._add_all_callbacks(os.fsencode(tmp_path / "d"))
        eventually_sync(watching.is_current)
    finally:
        watching.stop()
    assert not watching.is_current()


def test_a_watch_whose_thread_has_died_is_not_current(tmp_path: Path) -> None:
    watching = watch.FolderWatch(tmp_path, lambda *_: None, lambda _: None, lambda: None)
    watching.start()
    try:
        assert watching.is_current()
        assert watching._observer is not None
        for emitter in watching._observer.emitters:
            emitter.stop()
        eventually_sync(lambda: not watching.is_current())
    finally:
        watching.stop()


def test_an_overflow_of_the_kernels_queue_is_told_and_the_watch_goes_on(tmp_path: Path) -> None:
    seen: set[str] = set()
    lost = threading.Event()
    watching = watch.FolderWatch(tmp_path, lambda key, _: seen.add(key), lambda _: None, lost.set)
    watching.start()
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    try:
        observer = watching._observer
        assert isinstance(observer, watch._InotifyObserver)
        with observer.inotify._lock:  # nobody reads the kernel's queue meanwhile, but for once
            for number in range(most // 2 + 2_000):
                (tmp_path / str(number)).touch()
        eventually_sync(lost.is_set, within=20)
        (tmp_path / "after").touch()
        eventually_sync(lambda: "after" in seen, within=20)
    finally:
        watching.stop()


_FEW_WATCHES = """
import sys, pathlib
from faas.buckets.folder import watch
root = pathlib.Path(sys.argv[1])
watching = watch.FolderWatch(root, lambda key, sign: print(key, flush=True), lambda _: None, lambda: None)
watching.start()
print("polling", watching.is_polling, watching.limited, flush=True)
(root / "3" / "k").write_text("x")
sys.stdin.read()
watching.stop()
"""


def test_where_the_kernel_has_no_watches_left_the_folder_is_polled(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number)).mkdir()
    script = "echo 3 > /proc/sys/user/max_inotify_watches && exec " + shlex.join(
        [sys.executable, "-c", _FEW_WATCHES, str(tmp_path)]
    )
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "polling True True\n"
        assert process.stdout.readline() == "3/k\n"
        process.communicate()
    assert process.returncode == 0


async def test_what_cannot_become_an_event_is_named_once_and_told_as_long_as_it_is_there(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    folder: Path,
    arrivals: Arrivals,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(unfit, "_EVERY_S", 0.05)
    monkeypatch.setattr(unfit, "_SHARE", 1)
    _deploy(functions, model.UploadTrigger(bucket="b"))
    os.mkfifo(folder / "pipe")
    async with _watching(settings, queue, functions, folder, arrivals):
        bad = os.fsencode(folder) + b"/r\xe9sum\xe9.pdf"
        Path(os.fsdecode(bad)).touch()

        async def told(*names: str) -> bool:
            found = await unfit_told.of(queue, ["b", "another"])
            return sorted(name for name, _ in found["b"].shown) == sorted(names)

        await eventually(lambda: told("pipe", "r\\xe9sum\\xe9.pdf"))
        (folder / "pipe").unlink()
        await eventually(lambda: told("r\\xe9sum\\xe9.pdf"))
        named = [record.__dict__ for record in caplog.records if record.message == "no_event"]
        assert [(each["key"], each["reason"]) for each in named] == [
            ("pipe", "it is a pipe, which has no content of its own"),
            ("r\\xe9sum\\xe9.pdf", "its name is not UTF-8"),
        ]
        (fact,) = await asyncio.to_thread(lambda: list(health.gather(settings.data, settings.redis)))
        assert (fact.name, fact.state) == ("objects", facts.Severity.WARNING)
        assert "b/r\\xe9sum\\xe9.pdf: its name is not UTF-8" in fact.text


async def test_what_was_told_is_forgotten_when_nobody_looks_any_more(queue: Queue) -> None:
    await unfit_told.tell(queue, "b", unfit_told.Told(1), 50)
    assert await unfit_told.of(queue, ["b"]) == {"b": unfit_told.Told(1)}

    async def forgotten() -> bool:
        return await unfit_told.of(queue, ["b"]) == {}

    await eventually(forgotten)
