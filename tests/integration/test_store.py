"""The store over a real SQLite file: the catalog, the ledger, its totals and the logs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import redis.asyncio
import sqlalchemy as sa

from faas import recorder
from faas.core import billing, ids, model
from faas.core import settings as settings_module
from faas.queue import keys
from faas.store import database, functions, ledger, logs
from tests.eventually import eventually

CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    engine = database.open_database(settings)
    yield engine
    engine.dispose()


def a_record(**changes: object) -> model.Record:
    record = model.Record(
        invocation_id=ids.new_id(),
        attempt=1,
        function="hello",
        revision=1,
        trigger="http",
        mode=model.Mode.SYNC,
        status=model.Status.OK,
        accepted_at_ms=1_000,
        started_at_ms=1_002,
        ended_at_ms=1_010,
        queue_ms=2,
        init_ms=0,
        duration_us=7_001,
        billed_ms=8,
        memory_limit_mb=128,
        memory_peak_mb=30,
        cold_start=model.ColdStart.NONE,
        cost_micro=0,
        cost_pico=216_667,
        node="n",
        sandbox="s",
        logs=(model.LogLine(1_005, "50% done"),),
    )
    return msgspec.structs.replace(record, **changes)


def test_a_pending_revision_serves_nothing_until_it_is_activated(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    revision = catalog.add_revision("hello", "a" * 64, CONFIG)
    assert catalog.current("hello") is None
    assert catalog.activate([revision], [model.Bucket(name="photos")]) == catalog.catalog_version() == 1
    assert catalog.current("hello") == catalog.get("hello@1") == revision
    assert catalog.buckets() == [model.Bucket(name="photos")]


def test_a_removed_function_never_reuses_a_number(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    catalog.activate([catalog.add_revision("hello", "a", CONFIG)], [])
    catalog.remove("hello")
    assert catalog.list_current() == []
    assert catalog.add_revision("hello", "a", CONFIG).number == 2


def test_a_discarded_revision_is_gone_and_its_number_is_not_given_again(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    catalog.activate([catalog.add_revision("hello", "a", CONFIG)], [])
    secret = msgspec.structs.replace(CONFIG, env={"TOKEN": "s3cr3t-value"})
    catalog.discard(catalog.add_revision("hello", "b", secret).ref)
    assert (catalog.get("hello@2"), catalog.last_number("hello")) == (None, 2)
    assert [revision.number for revision in catalog.revisions("hello")] == [1]
    with engine.connect() as connection:
        configs = connection.execute(sa.text("SELECT config FROM revisions WHERE number = 2")).scalars().all()
    assert configs == [b""]
    assert catalog.add_revision("hello", "b", CONFIG).number == 3
    assert [revision.number for revision in catalog.revisions("hello")] == [1, 3]


def test_many_may_open_a_new_database_at_once(settings: settings_module.Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        for engine in threads.map(lambda _: database.open_database(settings), range(4)):
            assert functions.Functions(engine).catalog_version() == 0
            engine.dispose()


def test_a_replayed_record_is_billed_once(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    first, second = a_record(), a_record()
    book.commit([("1-0", first), ("1-0", first)])
    book.commit([("1-0", first), ("2-0", second)])
    expected = ledger.BillLine(name="hello", count=2, billed_ms=16, cost_pico=433_334)
    assert book.bill(0, "function") == [expected]
    assert [line.name for line in book.bill(0, "day")] == ["1970-01-01"]
    assert len(logs.Logs(engine).lines()) == 2
    assert book.get(first.invocation_id) == [msgspec.structs.replace(first, logs=())]


def test_percentiles_are_exact(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    book.commit([("", a_record(duration_us=n)) for n in range(1, 101)])
    (line,) = book.stats(0)
    assert (line.count, line.duration_us) == (100, (50, 95, 99))


def test_logs_are_found_by_their_text_as_it_is_written(engine: sa.Engine) -> None:
    ledger.Ledger(engine).commit([("", a_record())])
    assert [row.text for row in logs.Logs(engine).lines(search="50%")] == ["50% done"]
    assert logs.Logs(engine).lines(search="5%done") == []


async def test_the_recorder_stores_what_is_in_the_stream_and_then_empties_it(
    settings: settings_module.Settings, engine: sa.Engine
) -> None:
    client = redis.asyncio.Redis.from_url(settings.redis_url)
    stream = keys.Keys(settings.redis_prefix).records
    record = a_record()
    await client.xadd(stream, {"r": msgspec.msgpack.encode(record)})
    stop = asyncio.Event()
    task = asyncio.create_task(recorder.run(settings, stop))
    book = ledger.Ledger(engine)
    await eventually(lambda: book.get(record.invocation_id))
    stop.set()
    await task
    assert await client.xlen(stream) == 0
    await client.aclose()


def test_the_report_line_reads_like_the_known_one() -> None:
    assert "Duration: 7.00 ms\tBilled Duration: 8 ms\tMemory Size: 128 MB" in billing.report_line(a_record())
