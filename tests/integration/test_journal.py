"""The journal of a node: what it keeps through each death, and that Redis has each of its ends once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.queue import invocations, records
from faas.queue import shipping as moves
from runners.journal import format as form
from runners.journal import leftovers, reading, shipping, writer
from tests import samples, small_disk
from tests.eventually import eventually

NAME = "n1"


@pytest.fixture
async def queue(settings: settings_module.Settings) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    yield opened
    opened.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "journals"


def call() -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="echo",
        revision=3,
        trigger="http",
        mode=model.Mode.SYNC,
        event=b"1",
        accepted_at_ms=1,
    )


def nothing() -> None:
    pass


def opened(
    root: Path, most_bytes: int = 1 << 30, on_ended: Callable[[Sequence[reading.EndedCall]], None] = lambda _: None
) -> writer.Journal:
    return writer.Journal.open(root, NAME, most_bytes=most_bytes, on_ended=on_ended)


def shipped(root: Path, queue: invocations.Queue) -> tuple[writer.Journal, shipping.Shipper]:
    shipper = shipping.Shipper(queue, lambda *_: None)
    journal = opened(root, on_ended=shipper.add)
    shipper.attach(journal)
    return journal, shipper


async def run(journal: writer.Journal, count: int = 1) -> list[model.Invocation]:
    """Calls that begin and end."""
    calls = [call() for _ in range(count)]
    written = asyncio.Event()
    for each in calls:
        journal.began(each)
        journal.ended(samples.record(each), written.set)
    await written.wait()
    return calls


async def counts(queue: invocations.Queue) -> model.Counts:
    return (await queue.counts()).get("echo@3", model.Counts())


async def recorded(settings: settings_module.Settings) -> list[model.Record]:
    reader = await records.RecordsReader.open(settings.redis.redis_url, settings.redis.redis_prefix, "test")
    found: list[model.Record] = []
    while (got := await reader.read(1_000, 1)).records:
        found += got.records
        await reader.done(got)
    await reader.close()
    return found


def torn(folder: Path, end: int) -> None:
    """Half an entry at the end of a journal, as a write leaves it that a power cut or a full disk broke off."""
    start, path = form.segments(folder)[-1]
    with path.open("r+b") as segment:
        segment.seek(end - start)
        segment.write(form.began(call())[:-3])


async def test_a_call_is_answered_once_its_end_is_written_and_not_before(root: Path) -> None:
    journal = opened(root)
    one = call()
    journal.began(one)
    answered: list[int] = []
    journal.ended(samples.record(one), lambda: answered.append(reading.left(journal.folder, 0).end))
    assert not answered
    await eventually(lambda: bool(answered))
    assert answered == [journal.position]
    assert reading.left(journal.folder, 0).running == ()
    journal.close()


async def test_an_answer_that_fails_costs_no_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ValueError("no such client")

    shipped: list[reading.EndedCall] = []
    journal = opened(root, on_ended=shipped.extend)
    answered = asyncio.Event()
    for then in (fails, answered.set):
        one = call()
        journal.began(one)
        journal.ended(samples.record(one), then)
    async with asyncio.timeout(5):
        await answered.wait()
    assert len(shipped) == 2
    assert "answer_failed" in caplog.messages
    journal.close()


async def test_what_happens_in_one_turn_is_one_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.pwrite

    def counted(descriptor: int, data: bytes, at: int) -> int:
        writes.append(len(data))
        return real(descriptor, data, at)

    journal = opened(root)
    monkeypatch.setattr(os, "pwrite", counted)
    await run(journal, 50)
    assert writes == [journal.position]
    journal.close()


async def test_what_has_ended_is_shipped_and_the_journal_goes_when_its_node_does(
    root: Path, queue: invocations.Queue, settings: settings_module.Settings
) -> None:
    journal, shipper = shipped(root, queue)
    sent = await run(journal, 1_000)
    await shipper.shipped()
    assert await counts(queue) == model.Counts(accepted=1_000, done=1_000)
    assert {one.invocation_id for one in await recorded(settings)} == {one.id for one in sent}
    assert journal.mark == journal.position
    journal.close()
    assert await leftovers.settle(queue, root) == 0
    assert list(root.iterdir()) == []
    assert await moves.mark(queue, NAME) == 0
    assert await counts(queue) == model.Counts(accepted=1_000, done=1_000)


async def test_a_batch_whose_answer_was_lost_counts_once(
    root: Path, queue: invocations.Queue, settings: settings_module.Settings
) -> None:
    journal, shipper = shipped(root, queue)
    await run(journal, 10)
    await eventually(lambda: bool(queue.link.connection._waiting))
    queue.link.connection.close()  # what was sent leaves, what comes back is not heard
    await run(journal, 5)
    assert journal.mark == 0
    await queue.reopen()
    await shipper.shipped()
    assert await counts(queue) == model.Counts(accepted=15, done=15)
    assert len(await recorded(settings)) == 15
    journal.close()


async def test_what_a_killed_node_had_answered_is_recorded_and_what_it_ran_is_lost(
    root: Path, queue: invocations.Queue, settings: settings_module.Settings
) -> None:
    journal = opened(root)
    ended = await run(journal, 3)
    running = call()
    journal.began(running)
    await eventually(lambda: reading.left(journal.folder, 0).running != ())
    journal.close()
    assert await leftovers.settle(queue, root) == 1
    statuses = {one.invocation_id: one.status for one in await recorded(settings)}
    assert statuses == {**{one.id: model.Status.OK for one in ended}, running.id: model.Status.LOST}
    assert await counts(queue) == model.Counts(accepted=4, done=4)
    assert list(root.iterdir()) == []


async def test_a_node_that_is_only_paused_keeps_its_journal(root: Path, queue: invocations.Queue) -> None:
    journal = opened(root)
    await run(journal)
    journal.began(call())
    assert await leftovers.settle(queue, root) == 0
    assert await counts(queue) == model.Counts()
    journal.close()


@pytest.mark.parametrize("dies_at", ["the lost are written", "all is shipped", "the folder is renamed"])
async def test_who_dies_while_it_ships_what_another_left_is_followed_by_a_third(
    root: Path,
    queue: invocations.Queue,
    settings: settings_module.Settings,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: str,
) -> None:
    class Died(Exception):
        pass

    async def die(*_given: object) -> None:
        raise Died

    journal = opened(root)
    await run(journal, 3)
    journal.began(call())
    await asyncio.sleep(0)
    journal.close()
    where = {
        "the lost are written": (shipping, "ship_rest"),
        "all is shipped": (leftovers, "retire"),
        "the folder is renamed": (moves, "forget"),
    }
    with monkeypatch.context() as broken:
        broken.setattr(*where[dies_at], die)
        with pytest.raises(Died):
            await leftovers.settle(queue, root)
    await leftovers.settle(queue, root)
    assert await counts(queue) == model.Counts(accepted=4, done=4)
    found = await recorded(settings)
    assert sorted(one.status for one in found) == [model.Status.LOST, *[model.Status.OK] * 3]
    assert list(root.iterdir()) == []
    assert await moves.mark(queue, NAME) == 0


async def test_a_torn_end_is_cut(root: Path, queue: invocations.Queue, settings: settings_module.Settings) -> None:
    journal = opened(root)
    await run(journal, 2)
    journal.close()
    torn(journal.folder, journal.position)
    assert await leftovers.settle(queue, root) == 0
    assert len(await recorded(settings)) == 2
    assert list(root.iterdir()) == []


async def test_what_is_shipped_is_given_back_to_the_disk_and_what_runs_long_is_not_forgotten(
    root: Path,
    queue: invocations.Queue,
    settings: settings_module.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 20_000)
    journal, shipper = shipped(root, queue)
    long = call()
    journal.began(long)
    for _ in range(40):
        await run(journal, 20)
    await shipper.shipped()
    assert len(form.segments(journal.folder)) <= 2
    journal.close()
    shipper.close()
    assert await leftovers.settle(queue, root) == 1
    assert await counts(queue) == model.Counts(accepted=801, done=801)
    found = await recorded(settings)
    assert {one.invocation_id for one in found if one.status is model.Status.LOST} == {long.id}


async def test_what_memory_has_no_room_for_is_read_from_the_files(
    root: Path,
    queue: invocations.Queue,
    settings: settings_module.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipping, "_HELD_BYTES", 10_000)
    monkeypatch.setattr(shipping, "_BATCH_BYTES", 5_000)
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 20_000)
    journal, shipper = shipped(root, queue)
    queue.link.connection.close()
    sent = [each for _ in range(20) for each in await run(journal, 20)]
    assert shipper._held_bytes < 10_000
    await queue.reopen()
    sent += await run(journal, 20)
    await shipper.shipped()
    sent += await run(journal, 20)
    await shipper.shipped()
    assert [one.invocation_id for one in await recorded(settings)] == [one.id for one in sent]
    assert await counts(queue) == model.Counts(accepted=440, done=440)
    journal.close()


async def test_past_its_bound_a_journal_is_fit_for_nothing_new(root: Path, queue: invocations.Queue) -> None:
    shipper = shipping.Shipper(queue, lambda *_: None)
    journal = opened(root, most_bytes=5_000, on_ended=shipper.add)
    assert journal.is_fit
    await run(journal, 40)
    assert not journal.is_fit
    shipper.attach(journal)
    shipper.add([])
    await shipper.shipped()
    assert journal.is_fit
    journal.close()


async def test_on_a_full_disk_what_runs_can_end_and_nothing_new_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 64 * 1024)
    with small_disk.mounted(tmp_path / "disk", 1) as disk:
        journal = opened(disk)
        with small_disk.filled(disk):
            while journal.is_fit:
                await run(journal, 20)
            await run(journal, 5)
            with pytest.raises(errors.Unavailable, match="No space left"):
                writer.Journal.open(disk, "another", most_bytes=1 << 30, on_ended=lambda *_: None)
        await eventually(lambda: journal.is_fit)
        await run(journal, 500)
        left = reading.left(journal.folder, 0)
        assert (left.running, left.end) == ((), journal.position)
        journal.close()


async def test_what_finds_no_room_at_all_is_answered_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 64 * 1024)
    with small_disk.mounted(tmp_path / "disk", 1) as disk:
        journal = opened(disk)
        with small_disk.filled(disk):
            large = msgspec.structs.replace(samples.record(call()), logs=(model.LogLine(1, "x" * 100_000),))
            answered = asyncio.Event()
            journal.ended(large, answered.set)
            await eventually(lambda: not journal.is_fit)
            assert not answered.is_set()
        async with asyncio.timeout(10):
            await answered.wait()
        journal.close()


async def test_what_was_to_become_a_journal_is_left_alone_and_removed_once_it_is_old(
    root: Path, queue: invocations.Queue
) -> None:
    made = root / ".n2"
    made.mkdir(parents=True)
    await leftovers.settle(queue, root)
    assert made.exists()
    os.utime(made, (1, 1))
    await leftovers.settle(queue, root)
    assert not made.exists()


async def test_who_looks_is_told_which_journals_are_left_and_how_much_they_hold(
    root: Path, queue: invocations.Queue
) -> None:
    journal = opened(root)
    await run(journal, 3)
    assert leftovers.census(root) == leftovers.Census(held=1, left=0, left_bytes=0)
    journal.close()
    assert leftovers.census(root) == leftovers.Census(held=0, left=1, left_bytes=journal.position)
    await leftovers.settle(queue, root)
    assert leftovers.census(root) == leftovers.Census(0, 0, 0)
