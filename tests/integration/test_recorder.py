"""The recorder stores every record exactly once, whatever dies or is away meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import redis.asyncio
import sqlalchemy as sa

from faas import recorder
from faas.core import clock, errors, model
from faas.core import settings as settings_module
from faas.queue import census, invocations, keys, records
from faas.store import database, dead_letters, ledger
from faas.valkey import embedded
from tests import samples
from tests.eventually import eventually


class Recording:
    """The two ends of a recorder: the stream that it reads and the ledger that it writes."""

    def __init__(self, settings: settings_module.Settings, client: redis.asyncio.Redis, engine: sa.Engine) -> None:
        self.settings = settings
        self.client = client
        self.stream = keys.Keys(settings.redis.redis_prefix).records
        self.engine = engine
        self.sent: list[model.Record] = []

    async def send(self, count: int) -> None:
        """Put records into the stream, each as an entry."""
        made = [samples.ended() for _ in range(count)]
        async with self.client.pipeline() as pipeline:
            for record in made:
                pipeline.xadd(self.stream, {"r": msgspec.msgpack.encode(record)})
            await pipeline.execute()
        self.sent += made

    async def send_together(self, count: int, among: Sequence[object] = ()) -> None:
        """Put records into the stream as one entry, which holds ``among`` too."""
        made = [samples.ended() for _ in range(count)]
        await self.add({"b": msgspec.msgpack.encode([*made[1:], *among, *made[:1]])})
        self.sent += made

    async def add(self, fields: Mapping[str, bytes]) -> None:
        """Put an entry into the stream, and count it."""
        await self.client.xadd(self.stream, dict(fields))
        held = keys.Keys(self.settings.redis.redis_prefix).held
        await self.client.hincrby(held, "unrecorded", sum(map(len, fields.values())))

    async def set_aside(self) -> list[dict[bytes, bytes]]:
        """What was set aside as unreadable."""
        found = await self.client.xrange(keys.Keys(self.settings.redis.redis_prefix).unreadable)
        return [fields for _, fields in found]

    async def is_counted_right(self) -> bool:
        """Whether the counter of bytes says what the stream holds."""
        queue = await invocations.Queue.of(self.settings.redis, self.settings.queues, self.settings.results)
        try:
            return (await census.held(queue)).is_right
        finally:
            queue.close()

    async def reader(self, consumer: str = "r1") -> records.RecordsReader:
        """A recorder's view of the stream."""
        return await records.RecordsReader.open(
            self.settings.redis.redis_url, self.settings.redis.redis_prefix, consumer
        )

    def counted(self) -> tuple[int, int]:
        """How many records there are, and how many the running totals say."""
        book = ledger.Ledger(self.engine)
        return len(book.find(limit=100_000)), sum(line.count for line in book.bill(0, "function"))

    async def all_is_recorded_once(self) -> None:
        """Each record that was sent is in the ledger and the totals once, and Redis holds none any more."""
        await eventually(self._stream_is_empty, within=60)
        assert self.counted() == (len(self.sent), len(self.sent))

    async def _stream_is_empty(self) -> bool:
        return bool(await self.client.xlen(self.stream) == 0)


@contextlib.asynccontextmanager
async def recording(settings: settings_module.Settings) -> AsyncIterator[Recording]:
    engine = database.open_database(settings.data)
    async with redis.asyncio.from_url(settings.redis.redis_url) as client:
        yield Recording(settings, client, engine)
    engine.dispose()


@pytest.fixture
async def ends(settings: settings_module.Settings) -> AsyncIterator[Recording]:
    async with recording(settings) as made:
        yield made


@pytest.fixture
def on_sqlite(settings: settings_module.Settings) -> settings_module.Settings:
    """For what only a database in a file can suffer."""
    return settings_module.changed(settings, database_url="")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedServer]:
    """A Redis of the test's own, that it may stop."""
    server = embedded.EmbeddedServer(tmp_path / "redis")
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def running(settings: settings_module.Settings, recorders: int = 1) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(recorder.run(settings.data, settings.redis, settings.queues, stop))
        for _ in range(recorders)
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@contextlib.contextmanager
def process(settings: settings_module.Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A recorder as a process that may be killed."""
    command = [sys.executable, "-m", "faas.cli.main", "recorder"]
    with subprocess.Popen(command, env=settings_module.to_environ(settings), stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.kill()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "faas.recorder"]


async def test_what_is_in_the_stream_is_stored_and_then_leaves_it(ends: Recording) -> None:
    await ends.send(3)
    async with running(ends.settings):
        await ends.all_is_recorded_once()


async def test_records_that_came_in_one_entry_are_stored_like_those_that_came_alone(ends: Recording) -> None:
    for _ in range(3):
        await ends.send(2)
        await ends.send_together(150)
    await ends.send_together(0)
    async with running(ends.settings):
        await ends.all_is_recorded_once()
    assert await ends.set_aside() == []


async def test_what_can_be_read_of_an_entry_is_stored_and_the_rest_set_aside(ends: Recording) -> None:
    unread = [["a record of", "nobody"], 7]
    await ends.send(1)
    await ends.send_together(40, among=unread)
    await ends.send(1)
    async with running(ends.settings):
        await ends.all_is_recorded_once()
    (rest,) = await ends.set_aside()
    assert msgspec.msgpack.decode(rest[b"b"]) == unread
    assert b"Record" in rest[b"reason"] or b"Expected" in rest[b"reason"]


async def test_what_is_no_record_at_all_is_set_aside_as_it_was_and_blocks_nobody(ends: Recording) -> None:
    torn = msgspec.msgpack.encode([samples.ended()])[:-3]
    strange = ({"r": b"\xc1"}, {"b": torn}, {"b": msgspec.msgpack.encode([1, 2])}, {"x": b"neither"})
    for fields in strange:
        await ends.add(fields)
    await ends.send(1)
    async with running(ends.settings):
        await ends.all_is_recorded_once()
    aside = await ends.set_aside()
    assert all(fields.pop(b"reason") for fields in aside)
    assert aside == [{name.encode(): value for name, value in fields.items()} for fields in strange]


async def test_the_bytes_of_an_entry_are_counted_until_it_leaves_whoever_says_that_it_is_done(ends: Recording) -> None:
    for number in range(6):
        await ends.add({"b": msgspec.msgpack.encode([samples.ended() for _ in range(number)])})
    await ends.add({"b": msgspec.msgpack.encode([samples.ended(), "no record", samples.ended()])})
    one, other = await ends.reader("one"), await ends.reader("other")
    batches = [await one.read(1, 10) for _ in range(3)]
    assert await ends.is_counted_right()
    for _ in range(2):  # once by who took it over
        await one.done(batches[0])
        assert await ends.is_counted_right()
    whole = batches[1]
    whole.entries += batches[0].entries
    whole.sizes += batches[0].sizes
    await one.done(whole)
    assert await ends.is_counted_right()
    while (batch := await other.read(100, 10)).entries:
        await other.done(batch)
        assert await ends.is_counted_right()
    await one.done(batches[2])
    assert await ends.client.xlen(ends.stream) == 0
    assert await ends.is_counted_right()
    await one.close()
    await other.close()


async def test_a_batch_is_bounded_by_records_however_many_an_entry_holds(ends: Recording) -> None:
    for _ in range(60):
        await ends.send_together(300)
    await ends.send(300)
    reader = await ends.reader()
    sizes, seen = [], 0
    while seen < len(ends.sent):
        batch = await reader.read(1_000, 10)
        if sizes[50 * 300 // 1_200 :]:  # once it knows what an entry holds
            assert await is_pending(ends, len(batch.entries))
        await reader.done(batch)
        sizes.append(len(batch.records))
        seen += sizes[-1]
        assert batch.more or seen == len(ends.sent)
    assert max(sizes) < 1_300
    assert max(sizes[:3]) >= 1_000
    assert not (await reader.read(1_000, 10)).more
    await reader.close()


async def test_a_dead_one_leaves_its_letter_once_though_a_recorder_died_before_it_said_so(ends: Recording) -> None:
    dead = samples.ended(dead=True, status=model.Status.ERROR, mode=model.Mode.ASYNC)
    made = model.Invocation(
        id=dead.invocation_id, function="hello", revision=1, trigger="invoke", mode=model.Mode.ASYNC, event=b"1",
        accepted_at_ms=1,
    )  # fmt: skip
    await ends.add({"r": msgspec.msgpack.encode(dead), "i": msgspec.msgpack.encode(made)})
    await ends.send_together(3)
    ends.sent.append(dead)
    for _ in range(3):
        dying = await ends.reader()
        batch = await dying.read(1, 10)
        ledger.Ledger(ends.engine).commit(batch.records, batch.packed, batch.letters)
        assert batch.records == [dead]
        await dying.close()
    last = await ends.reader()
    while (batch := await last.read(10, 10)).entries:
        ledger.Ledger(ends.engine).commit(batch.records, batch.packed, batch.letters)
        await last.done(batch)
    await last.close()
    await ends.all_is_recorded_once()
    (line,) = dead_letters.DeadLetters(ends.engine).find(None, 10)
    letter = dead_letters.DeadLetters(ends.engine).get(line.record.invocation_id)
    assert letter is not None
    assert letter.invocation == made
    assert letter.record == msgspec.structs.replace(dead, logs=())


async def test_several_recorders_store_each_record_once(ends: Recording) -> None:
    async with running(ends.settings, recorders=3):
        for _ in range(10):
            await ends.send(500)
        await ends.all_is_recorded_once()


async def test_a_recorder_killed_between_commit_and_acknowledge_costs_nothing(
    on_sqlite: settings_module.Settings, server: embedded.EmbeddedServer
) -> None:
    async with recording(settings_module.changed(on_sqlite, redis_url=server.url)) as ends:
        lock = sqlite3.connect(on_sqlite.data.root / "ledger.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        await ends.send(50)
        with process(ends.settings) as killed:
            await eventually(lambda: is_pending(ends, 50), within=60)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGSTOP)
            lock.execute("ROLLBACK")
            lock.close()
            await eventually(lambda: ends.counted() == (50, 50), within=60)
            killed.kill()
            killed.wait()
            # What the recorder wrote to its socket last must not be read by who wakes up.
            os.kill(server.pid, signal.SIGKILL)
            await server.exited()
        await server.start()
        assert await ends.client.xlen(ends.stream) == 50
        with process(ends.settings):
            await ends.all_is_recorded_once()


async def is_pending(ends: Recording, count: int) -> bool:
    try:
        return bool((await ends.client.xpending(ends.stream, "recorders"))["pending"] == count)
    except redis.exceptions.ResponseError:  # the group is not there yet
        return False


async def test_a_recorder_killed_again_and_again_costs_nothing(ends: Recording) -> None:
    for _ in range(4):
        await ends.send(1_000)
        before = ends.counted()
        with process(ends.settings):
            await eventually(lambda before=before: ends.counted() > before, within=60)
    with process(ends.settings):
        await ends.all_is_recorded_once()


async def test_what_a_recorder_that_stays_away_had_read_another_stores(ends: Recording) -> None:
    await ends.send(5)
    gone = await records.RecordsReader.open(ends.settings.redis.redis_url, ends.settings.redis.redis_prefix, "gone")
    for sent in ends.sent[:3]:
        assert (await gone.read(1, 10)).records == [sent]
    await gone.close()
    other = await records.RecordsReader.open(
        ends.settings.redis.redis_url, ends.settings.redis.redis_prefix, "other", 1
    )

    found: list[str] = []

    async def all_were_found() -> bool:
        got = await other.read(10, 10)
        await other.done(got)
        found.extend(record.invocation_id for record in got.records)
        return len(found) == 5

    await eventually(all_were_found)
    assert set(found) == {record.invocation_id for record in ends.sent}
    await other.close()


async def test_what_a_recorder_is_at_work_on_no_other_takes_over_however_long_it_takes(ends: Recording) -> None:
    await ends.send(5)
    of = (ends.settings.redis.redis_url, ends.settings.redis.redis_prefix)
    slow = await records.RecordsReader.open(*of, "slow", 200)
    other = await records.RecordsReader.open(*of, "other", 200)
    batch = await slow.read(100, 10)
    assert len(batch.records) == 5
    began_s, taken_over = clock.steady_s(), []

    async def took_long() -> bool:
        taken_over.extend((await other.read(10, 10)).records)
        return clock.steady_s() - began_s > 0.7

    async with slow.holding(batch):
        await eventually(took_long)
    assert taken_over == []
    await slow.done(batch)
    assert await ends.client.xlen(ends.stream) == 0
    await slow.close()
    await other.close()


async def test_what_another_recorder_has_taken_over_is_not_committed_again(ends: Recording) -> None:
    for _ in range(3):
        await ends.send_together(30)
    of = (ends.settings.redis.redis_url, ends.settings.redis.redis_prefix)
    slow = await records.RecordsReader.open(*of, "slow", 4)
    other = await records.RecordsReader.open(*of, "other", 1)
    assert len((await slow.read(50, 10)).entries) == 2, "the third is in memory, and was read too"

    async def took_over() -> bool:
        return len((await other.read(100, 10)).entries) == 3

    await eventually(took_over)
    assert not (await slow.read(50, 10)).entries
    await slow.close()
    await other.close()


async def test_while_redis_is_away_one_line_is_logged_and_then_it_goes_on(
    settings: settings_module.Settings, server: embedded.EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with recording(settings_module.changed(settings, redis_url=server.url)) as ends, running(ends.settings):
        await ends.send(10)
        await ends.all_is_recorded_once()
        await server.stop()
        await eventually(lambda: said(caplog) == ["recorder_waits"], within=60)
        await server.start()
        await ends.send(10)
        await ends.all_is_recorded_once()
        await eventually(lambda: said(caplog) == ["recorder_waits", "recorder_goes_on"])


async def test_a_recorder_may_start_before_redis(
    settings: settings_module.Settings, server: embedded.EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    await server.stop()
    settings = settings_module.changed(settings, redis_url=server.url)
    async with running(settings):
        await eventually(lambda: said(caplog) == ["recorder_waits"], within=60)
        await server.start()
        async with recording(settings) as ends:
            await ends.send(10)
            await ends.all_is_recorded_once()


async def test_it_can_be_stopped_while_redis_says_nothing(
    settings: settings_module.Settings, server: embedded.EmbeddedServer
) -> None:
    async with recording(settings_module.changed(settings, redis_url=server.url)) as ends:
        async with running(ends.settings):
            await ends.send(1)
            await ends.all_is_recorded_once()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGCONT)


async def test_a_stream_that_somebody_deleted_is_made_again(ends: Recording) -> None:
    async with running(ends.settings):
        await ends.send(1)
        await ends.all_is_recorded_once()
        await ends.client.delete(ends.stream)
        await ends.send(1)
        await ends.all_is_recorded_once()


async def test_while_the_database_fails_records_stay_and_one_line_is_logged(
    ends: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rename(ends.engine, "records", "away")
    await ends.send(20)
    tried: Sequence[int] = [await connections(ends)]
    async with running(ends.settings):

        async def has_tried_again_and_again() -> bool:
            return await connections(ends) >= tried[0] + 3

        await eventually(has_tried_again_and_again, within=60)
        assert said(caplog) == ["recorder_waits"]
        assert await ends.client.xlen(ends.stream) == 20
        rename(ends.engine, "away", "records")
        await ends.all_is_recorded_once()
        await eventually(lambda: said(caplog) == ["recorder_waits", "recorder_goes_on"])
    (waits,) = [record for record in caplog.records if record.message == "recorder_waits"]
    assert "records" in waits.__dict__["reason"]


def rename(engine: sa.Engine, old: str, new: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))


async def connections(ends: Recording) -> int:
    """How many were ever made to the server: each try of a recorder makes one."""
    return int((await ends.client.info("stats"))["total_connections_received"])


def test_a_locked_database_is_an_error_of_one_line_after_its_time(on_sqlite: settings_module.Settings) -> None:
    engine = database.open_database(on_sqlite.data)
    lock = sqlite3.connect(on_sqlite.data.root / "ledger.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(errors.Unavailable, match="the database does not answer: database is locked"):
            connection.execute(sa.text("UPDATE catalog SET version = version"))
    lock.close()
    engine.dispose()


async def test_a_full_disk_is_waited_for(on_sqlite: settings_module.Settings, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    small = settings_module.changed(on_sqlite, data_dir=str(disk))
    script = f"mount -t tmpfs -o size=16m none {disk} && exec {sys.executable} -c '{_ON_A_SMALL_DISK}'"
    inside = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, env=settings_module.to_environ(small),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert inside.stdin is not None
    assert inside.stdout is not None
    async with recording(on_sqlite) as ends:
        assert await inside.stdout.readline() == b"full\n"
        await ends.send(3_000)
        assert (await inside.stdout.readline()).startswith(b"the database does not answer: d")
        assert await ends.client.xlen(ends.stream) == 3_000
        inside.stdin.write(b"make room\n")
        await eventually(lambda: _is_empty(ends), within=60)
        out, _ = await inside.communicate(b"\n")
    assert out.splitlines() == [b"goes on", b"3000"]


async def _is_empty(ends: Recording) -> bool:
    return bool(await ends.client.xlen(ends.stream) == 0)


_ON_A_SMALL_DISK = """
import asyncio, logging, pathlib, sys
from faas import recorder
from faas.core import settings as settings_module
from faas.store import database, dead_letters, ledger

class Told(logging.Handler):
    def emit(self, record):
        if record.name == "faas.recorder":
            print(getattr(record, "reason", "goes on"), flush=True)

async def main(settings):
    stop = asyncio.Event()
    task = asyncio.create_task(recorder.run(settings.data, settings.redis, settings.queues, stop))
    await asyncio.to_thread(sys.stdin.readline)
    filler.unlink()
    await asyncio.to_thread(sys.stdin.readline)
    stop.set()
    await task
    book = ledger.Ledger(database.open_database(settings.data))
    print(sum(line.count for line in book.bill(0, "function")), flush=True)

logging.basicConfig(level=logging.INFO, handlers=[Told()])
settings = settings_module.load()
database.open_database(settings.data).dispose()
filler = settings.data.root / "filler"
with filler.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        print("full", flush=True)
asyncio.run(main(settings))
"""
