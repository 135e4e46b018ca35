"""A backup and what is made of it: whole, of one moment, and nothing at all when it was cut short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import redis
import redis.asyncio
import redis.exceptions
import sqlalchemy as sa

from faas import artifacts
from faas.backup import archive, restoring, taking
from faas.core import errors, model
from faas.core import settings as settings_module
from faas.store import database, functions, ledger, schema
from faas.valkey import embedded
from tests import samples, small_disk
from tests.eventually import eventually_sync

CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler", env={"KEY": "secret"})
KILLED_AT = (
    "faas.backup.archive:BackupWriter._add",
    "faas.backup.archive:BackupWriter.finish",
    "faas.backup.staging:publish",
)
RESTORE_KILLED_AT = ("faas.backup.archive:_unpack_one", "faas.backup.staging:sync", "faas.backup.staging:publish")
_KILL = """
import importlib, os, signal, sys
from pathlib import Path
from faas.backup import restoring, taking
from faas.core import settings
module, _, name = sys.argv[1].partition(":")
owner = importlib.import_module(module)
*way, last = name.split(".")
for each in way:
    owner = getattr(owner, each)
real, left = getattr(owner, last), [int(sys.argv[2])]
def fatal(*args, **more):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **more)
setattr(owner, last, fatal)
if sys.argv[3] == "take":
    data = settings.of(data_dir=sys.argv[4]).data
    taking.take(taking.BackupSource(data=data, redis_url=sys.argv[6]), Path(sys.argv[5]), lambda: None)
else:
    restoring.restore(Path(sys.argv[5]), Path(sys.argv[4]))
"""


class Place:
    """A data directory with a server, a ledger and an artifact, and room for backups beside it."""

    def __init__(self, settings: settings_module.Settings, engine: sa.Engine, beside: Path) -> None:
        self.settings = settings
        self.engine = engine
        self.beside = beside
        self.book = ledger.Ledger(engine)

    @property
    def source(self) -> taking.BackupSource:
        """What is backed up."""
        return taking.BackupSource(data=self.settings.data, redis_url=self.settings.redis.redis_url)

    def take(self, name: str = "backup.tar") -> Path:
        """Take a backup."""
        taking.take(self.source, self.beside / name, lambda: None)
        return self.beside / name

    def deploy(self) -> str:
        """A function with an artifact; its digest."""
        folder = self.beside / "source"
        folder.mkdir()
        (folder / "app.py").write_text("x = 1\n" * 10_000)
        digest, _ = artifacts.Artifacts(self.settings.data.root).pack(folder)
        catalog = functions.Functions(self.engine)
        catalog.activate([catalog.add_revision("hello", digest, CONFIG)], [])
        return digest

    def killed(self, at: str, times: int, what: str, root: Path, file: Path) -> bool:
        """Run one in a process of its own that is killed at a call; whether it came so far."""
        command = [sys.executable, "-c", _KILL, at, str(times), what, str(root), str(file)]
        done = subprocess.run([*command, self.settings.redis.redis_url], check=False, capture_output=True)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
        return done.returncode != 0


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    root, beside = tmp_path / "data", tmp_path / "beside"
    root.mkdir()
    beside.mkdir()
    server = embedded.EmbeddedServer(root / "redis")
    settings = settings_module.of(data_dir=str(root), redis_url=await server.start())
    engine = database.open_database(settings.data)
    (root / "token").write_text("of mine\n")
    (root / "faas.toml").write_text("keep_logs_days = 3\n")
    yield Place(settings, engine, beside)
    engine.dispose()
    await server.stop()


@contextlib.asynccontextmanager
async def served(root: Path) -> AsyncIterator[redis.asyncio.Redis]:
    """The server of a data directory."""
    server = embedded.EmbeddedServer(root / "redis")
    async with redis.asyncio.Redis.from_url(await server.start()) as client:
        yield client
    await server.stop()


def records(root: Path) -> set[str]:
    """What the ledger of a data directory has."""
    engine = database.open_database(settings_module.of(data_dir=str(root)).data)
    with engine.connect() as connection:
        found = set(connection.scalars(sa.select(schema.records.c.invocation_id)))
    engine.dispose()
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_what_is_made_of_a_backup_is_what_was_there(place: Place) -> None:
    digest = place.deploy()
    made = samples.ended(cost_pico=10**15 + 7)
    place.book.commit([made])
    with redis.Redis.from_url(place.settings.redis.redis_url) as client:
        client.set("waits", "here")
        client.set("soon gone", "here", px=10**7)
    file = await asyncio.to_thread(place.take)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(place.beside) == ["backup.tar", "source"]
    assert not (place.settings.data.root / "redis" / "dump.rdb").exists()
    root = place.beside / "restored"
    manifest = restoring.restore(file, root)
    assert manifest.left_out == ("buckets",) or list(manifest.left_out) == ["buckets"]
    assert names(root) == ["artifacts", "faas.toml", "ledger.db", "redis", "token"]
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "token").stat().st_mode) == 0o600
    engine = database.open_database(settings_module.of(data_dir=str(root)).data)
    book = ledger.Ledger(engine)
    assert book.get(made.invocation_id) == place.book.get(made.invocation_id)
    assert book.bill(0, "function") == place.book.bill(0, "function")
    engine.dispose()
    with artifacts.Artifacts(root).open(digest) as bundle:
        assert bundle.read(1)
    async with served(root) as client:
        assert await client.get("waits") == b"here"
        assert await client.pttl("soon gone") > 10**6
        await client.set("more", "written")
    async with served(root) as client:
        assert await client.get("more") == b"written"


async def test_a_backup_that_was_cut_or_changed_anywhere_is_refused_and_makes_nothing(place: Place) -> None:
    place.deploy()
    raw = (await asyncio.to_thread(place.take)).read_bytes()
    file, root = place.beside / "broken.tar", place.beside / "restored"
    for end in (0, 1, 511, 512, 1_000, len(raw) // 3, len(raw) // 2, len(raw) - 20_000):
        file.write_bytes(raw[:end])
        with pytest.raises(errors.BadRequest, match="no whole backup"):
            restoring.restore(file, root)
    for at in map(raw.index, (b"REDIS" if b"REDIS" in raw else b"VALKEY", b"SQLite format 3", b"x = 1", b'"sha256"')):
        file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(errors.BadRequest, match="no whole backup"):
            restoring.restore(file, root)
    assert not root.exists()
    assert names(place.beside) == ["backup.tar", "broken.tar", "source"]


async def test_only_an_empty_folder_becomes_a_data_directory(place: Place) -> None:
    file = await asyncio.to_thread(place.take)
    root = place.beside / "restored"
    root.mkdir()
    (root / "mine").touch()
    with pytest.raises(errors.Conflict, match="mine"):
        restoring.restore(file, root)
    (root / "mine").unlink()
    restoring.restore(file, root)
    with pytest.raises(errors.Conflict, match="not empty"):
        restoring.restore(file, root)
    with pytest.raises(errors.Conflict, match="already"):
        await asyncio.to_thread(place.take)


@pytest.mark.parametrize("at", KILLED_AT)
async def test_a_backup_that_is_killed_leaves_no_file_and_the_next_one_is_whole(place: Place, at: str) -> None:
    place.deploy()
    place.book.commit([samples.ended()])
    root, file = place.settings.data.root, place.beside / "backup.tar"
    times = 0
    while await asyncio.to_thread(place.killed, at, times, "take", root, file):
        assert not file.exists()
        times += 1
    assert times > 0
    assert restoring.restore(file, place.beside / "restored").parts
    assert records(place.beside / "restored") == records(root)
    assert names(place.beside) == ["backup.tar", "restored", "source"]


@pytest.mark.parametrize("at", RESTORE_KILLED_AT)
async def test_a_restore_that_is_killed_leaves_no_data_directory_and_the_next_one_makes_it(
    place: Place, at: str
) -> None:
    place.deploy()
    file = await asyncio.to_thread(place.take)
    root = place.beside / "restored"
    times = 0
    while await asyncio.to_thread(place.killed, at, times, "restore", root, file):
        # It appears by one rename: what is there then is whole.
        if root.exists():
            assert names(root) == ["artifacts", "faas.toml", "ledger.db", "redis", "token"]
            break
        times += 1
    assert times > 0
    assert records(root) == set()
    async with served(root) as client:
        assert await client.dbsize() == 0


async def test_on_a_full_disk_nothing_is_left_and_the_server_goes_on(place: Place) -> None:
    place.deploy()
    place.book.commit([samples.ended(logs=(model.LogLine(1, "x" * 1_000_000),)) for _ in range(6)])
    with small_disk.mounted(place.beside / "small", 4) as disk:
        with pytest.raises(errors.Unavailable, match=r"no space|could not be copied"):
            await asyncio.to_thread(taking.take, place.source, disk / "backup.tar", lambda: None)
        assert names(disk) == []
        file = await asyncio.to_thread(place.take)
        with pytest.raises(errors.Unavailable, match="no space"):
            restoring.restore(file, disk / "restored")
        assert names(disk) == []
    place.book.commit([samples.ended()])


async def test_backups_under_load_hold_each_record_in_the_ledger_or_in_redis(place: Place) -> None:
    with moving(place) as moved:
        for number in range(4):
            eventually_sync(lambda number=number: len(moved) > 40 * number, within=60)  # type: ignore[misc]
            await asyncio.to_thread(place.take, f"{number}.tar")
    for number in range(4):
        root = place.beside / f"restored{number}"
        restoring.restore(place.beside / f"{number}.tar", root)
        in_ledger = {int(each) for each in records(root)}
        async with served(root) as client:
            in_redis = {int(fields[b"n"]) for _, fields in await client.xrange("records")}
            begun = int(await client.get("begun") or 0)
        assert in_ledger | in_redis == set(range(1, begun + 1)), "lost, or of a call that the queue does not know"
        # One batch may be committed and not acknowledged: its key keeps it from counting twice.
        assert len(in_ledger & in_redis) <= 10


@contextlib.contextmanager
def moving(place: Place) -> Iterator[list[int]]:
    """Records come into Redis, ten at a time, and go on to the ledger, as a recorder moves them."""
    stop, moved = threading.Event(), list[int]()

    def run() -> None:
        number = 0
        with redis.Redis.from_url(place.settings.redis.redis_url) as client:
            while not stop.is_set():
                for _ in range(10):
                    number += 1
                    with client.pipeline(transaction=True) as both:
                        both.xadd("records", {"n": number}).set("begun", number)
                        both.execute()
                batch = client.xrange("records")
                place.book.commit([samples.ended(invocation_id=fields[b"n"].decode()) for _, fields in batch])
                client.xdel("records", *[id for id, _ in batch])
                moved.append(number)
                with contextlib.suppress(redis.exceptions.ResponseError):
                    client.bgrewriteaof()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield moved
    finally:
        stop.set()
        thread.join()


async def test_a_redis_of_ones_own_is_named_and_not_half_copied(place: Place, redis_url: str) -> None:
    source = taking.BackupSource(data=place.settings.data, redis_url=redis_url)
    with pytest.raises(errors.Conflict, match="not the platform's own"):
        await asyncio.to_thread(taking.take, source, place.beside / "backup.tar", lambda: None)
    without = msgspec.structs.replace(source, left_out=(taking.BUCKETS, taking.QUEUE))
    await asyncio.to_thread(taking.take, without, place.beside / "backup.tar", lambda: None)
    assert "queue" in restoring.restore(place.beside / "backup.tar", place.beside / "restored").left_out
    assert not (place.beside / "restored" / "redis").exists()


async def test_the_files_of_a_platform_that_does_not_run_are_copied_as_they_lie(place: Place) -> None:
    root = place.settings.data.root
    (root / "journals" / "node-1").mkdir(parents=True)
    (root / "journals" / "node-1" / f"{0:020d}").write_bytes(b"entries")
    with redis.Redis.from_url(place.settings.redis.redis_url) as client:
        client.set("waits", "here")
    source = taking.BackupSource(data=place.settings.data)
    await asyncio.to_thread(taking.take, source, place.beside / "backup.tar", lambda: None)
    restored = place.beside / "restored"
    restoring.restore(place.beside / "backup.tar", restored)
    assert (restored / "journals" / "node-1" / f"{0:020d}").read_bytes() == b"entries"
    async with served(restored) as client:
        assert await client.get("waits") == b"here"


async def test_two_backups_at_once_do_not_meet(place: Place) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def shipped() -> None:
        begun.set()
        go_on.wait(30)

    first = asyncio.create_task(asyncio.to_thread(taking.take, place.source, place.beside / "a.tar", shipped))
    await asyncio.to_thread(begun.wait, 30)
    with pytest.raises(errors.Conflict, match="under way"):
        await asyncio.to_thread(place.take, "b.tar")
    go_on.set()
    await first
    assert names(place.beside) == ["a.tar"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "redis/../../x", "other", "redis//x", ".", "", "redis/./x"])
def test_a_part_is_never_written_elsewhere(name: str) -> None:
    assert not archive.is_name(name)


@pytest.mark.parametrize("name", ["ledger.db", "redis/appendonlydir/a.aof", "journals/n-1/lock", "token"])
def test_parts_have_their_names(name: str) -> None:
    assert archive.is_name(name)


def test_a_tar_of_somebody_else_is_no_backup(tmp_path: Path) -> None:
    subprocess.run(["tar", "cf", tmp_path / "x.tar", "-C", os.sep, "etc/hostname"], check=True)
    with pytest.raises(errors.BadRequest, match="no whole backup"):
        restoring.restore(tmp_path / "x.tar", tmp_path / "restored")
    with pytest.raises(errors.NotFound):
        restoring.restore(tmp_path / "none.tar", tmp_path / "restored")
