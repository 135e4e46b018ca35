"""Several sinks of records: none delays another, and a record leaves Redis when each has committed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import redis.asyncio

from faas import recorder
from faas.core import errors, model
from faas.core import settings as settings_module
from faas.queue import batches, census, cursors, invocations, keys, records
from faas.store import database, ledger
from tests import lines_sink, samples
from tests.eventually import eventually


class Bench:
    """The stream of records, the ledger and a file of lines."""

    def __init__(self, settings: settings_module.Settings, client: redis.asyncio.Redis, path: Path) -> None:
        self.settings = settings
        self.client = client
        self.path = path
        self.names = keys.Keys(settings.redis.redis_prefix)
        self.sent: list[model.Record] = []
        self._engine = database.open_database(settings.data)
        self._book = ledger.Ledger(self._engine)

    async def send(self, count: int, at_once: int = 3) -> None:
        """Put records into the stream, so many in an entry."""
        made = [samples.ended() for _ in range(count)]
        for first in range(0, count, at_once):
            packed = msgspec.msgpack.encode(made[first : first + at_once])
            await self.client.xadd(self.names.records, {"b": packed})
            await self.client.hincrby(self.names.held, "unrecorded", len(packed))
        self.sent += made

    def lines(self, *, may_miss: bool = False) -> lines_sink.LinesSink:
        return lines_sink.LinesSink(self.path, may_miss=may_miss)

    def commit(self, batch: batches.Batch) -> None:
        """Give the ledger a batch by hand."""
        self._book.commit(batch.records)

    def in_ledger(self) -> int:
        found = len(self._book.find(limit=100_000))
        assert sum(line.count for line in self._book.bill(0, "function")) == found
        return found

    def in_lines(self) -> int:
        found = self.lines().keys()
        assert len(set(found)) == len(found)
        return len(found)

    async def waiting(self) -> int:
        """How many entries are in Redis."""
        return int(await self.client.xlen(self.names.records))

    async def all_is_everywhere_once(self) -> None:
        async def none_waits() -> bool:
            return await self.waiting() == 0

        await eventually(none_waits, within=60)
        assert (self.in_ledger(), self.in_lines()) == (len(self.sent), len(self.sent))

    async def is_counted_right(self) -> bool:
        queue = await invocations.Queue.of(self.settings.redis, self.settings.queues, self.settings.results)
        try:
            return (await census.held(queue)).is_right
        finally:
            queue.close()

    def dispose(self) -> None:
        self._engine.dispose()


@pytest.fixture
async def bench(settings: settings_module.Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    async with redis.asyncio.from_url(settings.redis.redis_url) as client:
        made = Bench(settings, client, tmp_path / "records.ndjson")
        yield made
        assert await made.is_counted_right()
        made.dispose()


@contextlib.asynccontextmanager
async def running(bench: Bench, *beside: recorder.Sink) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(
        recorder.run(bench.settings.data, bench.settings.redis, bench.settings.queues, stop, beside)
    )
    try:
        yield
    finally:
        stop.set()
        await task


class Held(lines_sink.LinesSink):
    """A sink that takes as long over a commit as a test wants."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.go_on = threading.Event()

    def commit(self, batch: batches.Batch) -> None:
        self.go_on.wait(60)
        super().commit(batch)


class Failing(lines_sink.LinesSink):
    """A sink that fails as often as it is asked, until it is well."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(path)
        self.is_well = False
        self.tries = 0
        self._error = error

    def commit(self, batch: batches.Batch) -> None:
        self.tries += 1
        if not self.is_well:
            raise self._error
        super().commit(batch)


async def test_each_sink_gets_all_records_and_then_they_leave_redis(bench: Bench) -> None:
    async with running(bench, bench.lines()):
        for _ in range(5):
            await bench.send(100)
        await bench.all_is_everywhere_once()


async def test_a_slow_sink_delays_no_other_and_what_it_has_not_committed_stays_in_redis(bench: Bench) -> None:
    slow = Held(bench.path)
    async with running(bench, slow):
        try:
            for _ in range(3):
                await bench.send(30)
                await eventually(lambda: bench.in_ledger() == len(bench.sent))
            assert bench.in_lines() == 0
            assert await bench.waiting() == 30
            assert await bench.is_counted_right()
        finally:
            slow.go_on.set()
        await bench.all_is_everywhere_once()


@pytest.mark.parametrize("error", [errors.Unavailable("the collector is away"), KeyError("a mistake")], ids=repr)
async def test_a_sink_that_fails_stops_no_other_and_misses_nothing(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(bench.path, error)
    async with running(bench, failing):
        await bench.send(30)
        await eventually(lambda: bench.in_ledger() == 30 and failing.tries > 2)
        assert await bench.waiting() == 10
        failing.is_well = True
        await bench.all_is_everywhere_once()
    waits = [record for record in caplog.records if record.message == "recorder_waits"]
    assert [record.__dict__["sink"] for record in waits] == ["lines"]


async def test_while_the_ledger_is_away_another_sink_goes_on_and_nothing_leaves_redis(bench: Bench) -> None:
    engine = database.open_database(bench.settings.data)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE records RENAME TO away")
    async with running(bench, bench.lines()):
        await bench.send(30)
        await eventually(lambda: bench.in_lines() == 30)
        assert await bench.waiting() == 10
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO records")
        await bench.all_is_everywhere_once()
    engine.dispose()


async def test_a_sink_that_comes_later_gets_what_is_in_redis_then(bench: Bench) -> None:
    await bench.send(30)
    async with running(bench, bench.lines()):
        await bench.all_is_everywhere_once()


async def test_a_sink_that_is_no_more_keeps_nothing_in_redis(bench: Bench) -> None:
    held = Held(bench.path)
    async with running(bench, held):
        await bench.send(30)
        await eventually(lambda: bench.in_ledger() == 30)
        held.go_on.set()
    before = bench.in_lines()
    await bench.send(30)
    reader = await records.RecordsReader.open(bench.settings.redis.redis_url, bench.settings.redis.redis_prefix, "gone")
    assert len((await reader.read(3, 10)).records) == 3  # what nobody has committed stays
    await reader.close()
    async with running(bench):
        await eventually(lambda: bench.in_ledger() >= 57)
        assert await bench.client.hgetall(bench.names.sinks) == {}

        async def only_what_another_read_waits() -> bool:
            return await bench.waiting() == 1

        await eventually(only_what_another_read_waits)
    taken_over = await records.RecordsReader.open(
        bench.settings.redis.redis_url, bench.settings.redis.redis_prefix, "other", 0
    )
    batch = await taken_over.read(100, 10)
    bench.commit(batch)
    await taken_over.done(batch)
    await taken_over.close()
    assert (await bench.waiting(), bench.in_ledger(), bench.in_lines()) == (0, 60, before)


class Unclosable(lines_sink.LinesSink):
    """A sink that ends badly."""

    def close(self) -> None:
        raise OSError("no")


async def test_a_sink_that_cannot_be_closed_keeps_no_other_from_ending_well(bench: Bench) -> None:
    bad = Unclosable(bench.path)
    async with running(bench, bad):
        await bench.send(3)
        await bench.all_is_everywhere_once()


async def test_two_sinks_of_one_name_are_refused_before_anything_is_read(bench: Bench) -> None:
    await bench.send(3)
    two = [lines_sink.LinesSink(bench.path), lines_sink.LinesSink(bench.path.with_suffix(".2"))]
    with pytest.raises(ValueError, match="two sinks have one name"):
        await recorder.run(bench.settings.data, bench.settings.redis, bench.settings.queues, asyncio.Event(), two)
    assert await bench.waiting() == 1


async def test_several_recorders_give_each_sink_each_record_once(bench: Bench) -> None:
    other = lines_sink.LinesSink(bench.path.with_suffix(".other"))
    async with running(bench, bench.lines()), running(bench, other):
        for _ in range(10):
            await bench.send(300)

        async def none_waits() -> bool:
            return await bench.waiting() == 0

        await eventually(none_waits, within=60)
    assert bench.in_ledger() == len(bench.sent)
    found = [*bench.lines().keys(), *other.keys()]
    assert sorted(found) == sorted((record.invocation_id, record.attempt) for record in bench.sent)


async def test_a_recorder_that_starts_is_not_given_what_another_of_the_same_machine_is_at_work_on(
    bench: Bench,
) -> None:
    slow, other = Held(bench.path), lines_sink.LinesSink(bench.path.with_suffix(".other"))
    async with running(bench, slow):
        try:
            await bench.send(30)
            await eventually(lambda: bench.in_ledger() == 30, within=60)
            async with running(bench, other):
                await bench.send(30)

                async def all_but_what_is_held_is_there() -> bool:
                    return len(other.keys()) + 3 * await bench.waiting() == len(bench.sent) == bench.in_ledger()

                await eventually(all_but_what_is_held_is_there, within=60)
        finally:
            slow.go_on.set()

        async def none_waits() -> bool:
            return await bench.waiting() == 0

        await eventually(none_waits, within=60)
    found = [*bench.lines().keys(), *other.keys()]
    assert sorted(found) == sorted((record.invocation_id, record.attempt) for record in bench.sent)


_A_RECORDER = """
import asyncio, pathlib, sys
from faas import recorder
from faas.core import settings
from tests import lines_sink
of = settings.load()
sinks = [lines_sink.LinesSink(pathlib.Path(sys.argv[1]))]
asyncio.run(recorder.run(of.data, of.redis, of.queues, asyncio.Event(), sinks))
"""


@contextlib.contextmanager
def process(bench: Bench) -> Iterator[subprocess.Popen[bytes]]:
    """A recorder that may be killed."""
    command = [sys.executable, "-c", _A_RECORDER, str(bench.path)]
    environ = settings_module.to_environ(bench.settings)
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.kill()


async def test_a_recorder_killed_again_and_again_costs_no_sink_anything(bench: Bench) -> None:
    for _ in range(4):
        await bench.send(1_200)
        before = bench.in_lines(), bench.in_ledger()
        with process(bench):
            await eventually(
                lambda before=before: bench.in_lines() > before[0] or bench.in_ledger() > before[1], within=60
            )
    async with running(bench, bench.lines()):
        await bench.all_is_everywhere_once()


async def test_a_torn_line_of_a_recorder_that_was_killed_is_written_whole_by_the_next(bench: Bench) -> None:
    await bench.send(3)
    bench.path.write_bytes(b'{"invocation_id":"torn","att')
    async with running(bench, bench.lines()):
        await bench.all_is_everywhere_once()


async def test_what_cannot_be_read_is_set_aside_once_and_every_sink_gets_the_rest(bench: Bench) -> None:
    made = [samples.ended() for _ in range(4)]
    packed = msgspec.msgpack.encode([*made[:2], "no record", *made[2:]])
    await bench.client.xadd(bench.names.records, {"b": packed})
    await bench.client.hincrby(bench.names.held, "unrecorded", len(packed))
    bench.sent += made
    async with running(bench, bench.lines()):
        await bench.all_is_everywhere_once()
    assert await bench.client.xlen(bench.names.unreadable) == 1


async def test_a_sink_that_may_miss_some_does_not_fill_redis_and_says_what_it_missed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.settings = settings_module.changed(bench.settings, max_unrecorded_bytes=40_000)
    slow = Held(bench.path)
    slow.may_miss = True
    async with running(bench, slow):
        try:
            await bench.send(3)
            await eventually(lambda: bench.in_ledger() == 3)
            assert await bench.waiting() == 1  # there is room to keep it
            await bench.send(600)
            await eventually(lambda: bench.in_ledger() == 603)

            async def there_is_room() -> bool:
                return int(await bench.client.hget(bench.names.held, "unrecorded") or 0) <= 20_000

            await eventually(there_is_room, within=10)
        finally:
            slow.go_on.set()
        await bench.send(3)
        await eventually(lambda: bench.in_ledger() == 606)

        async def none_waits() -> bool:
            return await bench.waiting() == 0

        await eventually(none_waits)
    assert 0 < bench.in_lines() < 606
    assert any(record.message == "records_not_kept_for_all_sinks" for record in caplog.records)


async def test_entries_that_nobody_needs_any_more_leave_in_small_steps(bench: Bench) -> None:
    gone = cursors.of("gone", may_miss=False)
    await cursors.ensure(bench.client, bench.names, gone)
    reader = await records.RecordsReader.open(bench.settings.redis.redis_url, bench.settings.redis.redis_prefix, "r")
    await bench.send(1_300, at_once=1)
    while (batch := await reader.read(400, 10)).entries:
        await reader.done(batch)
    await bench.send(1)
    await reader.close()
    assert await bench.waiting() == 1_301
    assert await cursors.let_go(bench.client, bench.names, cursors.NO_BOUND) == 0
    assert await cursors.keep_only(bench.client, bench.names, [gone]) == []
    assert await cursors.keep_only(bench.client, bench.names, []) == [gone.group]
    assert await cursors.let_go(bench.client, bench.names, cursors.NO_BOUND) == 1_300
    assert await bench.waiting() == 1


async def test_a_stream_that_somebody_deleted_is_made_again_with_all_cursors(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(bench, bench.lines()):
        await bench.send(30)
        await bench.all_is_everywhere_once()
        await bench.client.delete(bench.names.records)
        await eventually(lambda: any(record.message == "recorder_waits" for record in caplog.records))
        await bench.send(30)
        await bench.all_is_everywhere_once()
