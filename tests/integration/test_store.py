"""The contract of the store: catalog, ledger, totals and logs. It holds on SQLite and (`--database`) PostgreSQL."""

from __future__ import annotations

import operator
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime import migration

from faas.core import errors, model
from faas.core import settings as settings_module
from faas.core.money import billing, comparing
from faas.store import bills, database, functions, ledger, logs, schema
from tests import samples

CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    engine = database.open_database(settings.data)
    yield engine
    engine.dispose()


def test_a_pending_revision_serves_nothing_until_it_is_activated(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    revision = catalog.add_revision("hello", "a" * 64, CONFIG)
    assert catalog.current("hello") is None
    assert catalog.activate([revision], [model.Bucket(name="photos")]) == catalog.catalog_version() == 1
    assert catalog.current("hello") == catalog.get("hello@1") == revision
    assert catalog.buckets() == [model.Bucket(name="photos")]


_READ_BY_MANY = """
import sys, threading
from faas.core import settings
from faas.store import database, functions

catalog = functions.Functions(database.open_database(settings.load().data))
catalog.catalog_version()
sys.setswitchinterval(1e-6)
begin = threading.Barrier(4)
threads = [threading.Thread(target=lambda: (begin.wait(), catalog.list_current())) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_to_read_the_catalog_may_be_several_threads_at_once(
    engine: sa.Engine, settings: settings_module.Settings
) -> None:
    catalog = functions.Functions(engine)
    config = msgspec.structs.replace(CONFIG, triggers=(model.HttpTrigger(path="/hello"),))
    catalog.activate([catalog.add_revision("hello", "a" * 64, config)], [])
    for _ in range(10):  # each process is first but once
        environ = settings_module.to_environ(settings)
        done = subprocess.run([sys.executable, "-c", _READ_BY_MANY], env=environ, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


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
    catalog.discard([catalog.add_revision("hello", "b", secret).ref])
    assert (catalog.get("hello@2"), catalog.last_numbers(["hello", "other"])) == (None, {"hello": 2})
    assert [revision.number for revision in catalog.revisions("hello")] == [1]
    with engine.connect() as connection:
        configs = connection.execute(sa.text("SELECT config FROM revisions WHERE number = 2")).scalars().all()
    assert configs == [b""]
    assert catalog.add_revision("hello", "b", CONFIG).number == 3
    assert [revision.number for revision in catalog.revisions("hello")] == [1, 3]


def test_many_may_open_a_new_database_at_once(settings: settings_module.Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        for engine in threads.map(lambda _: database.open_database(settings.data), range(4)):
            assert functions.Functions(engine).catalog_version() == 0
            engine.dispose()


def test_the_migrations_make_the_tables_that_the_schema_names(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert autogenerate.compare_metadata(context, schema.metadata) == []


def test_a_replayed_record_is_billed_once(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    first, second = samples.ended(), samples.ended()
    book.commit([first, first])
    book.commit([first, second])
    uses = (comparing.MemoryUse(memory_mb=128, requests=2, billed_ms=16),)
    expected = bills.BillLine(name="hello", count=2, requests=2, billed_ms=16, cost_pico=433_334, cpu_us=0, uses=uses)
    assert book.bill(0, "function") == [expected]
    assert [line.name for line in book.bill(0, "day")] == ["1970-01-01"]
    assert len(logs.Logs(engine).lines()) == 2
    assert book.get(first.invocation_id) == [msgspec.structs.replace(first, logs=())]


def test_a_batch_of_which_some_records_are_there_adds_the_others_and_nothing_else(engine: sa.Engine) -> None:
    """Whatever a batch holds of what was stored: none, one, some of it twice, or all."""
    book = ledger.Ledger(engine)
    choose = random.Random(15)
    made = [
        samples.ended(
            invocation_id=f"id-{number % 40}",
            attempt=number // 40 + 1,
            function=choose.choice(("hello", "other")),
            status=choose.choice(list(model.Status)),
            cold_start=choose.choice(list(model.ColdStart)),
            duration_us=choose.randrange(10**7),
            queue_ms=choose.randrange(100),
            init_ms=choose.randrange(1_000),
            ended_at_ms=choose.randrange(3) * 86_400_000,
        )
        for number in range(80)
    ]
    stored: dict[tuple[str, int], model.Record] = {}
    for _ in range(12):
        batch = choose.choices(made, k=9)
        book.commit(batch)
        stored |= {(record.invocation_id, record.attempt): record for record in batch}
        _adds_up(engine, list(stored.values()))
    book.commit(made)
    book.commit(made)
    _adds_up(engine, made)


def _adds_up(engine: sa.Engine, stored: Sequence[model.Record]) -> None:
    book = ledger.Ledger(engine)
    key = operator.attrgetter("invocation_id", "attempt")
    assert sorted(book.find(limit=1_000), key=key) == [
        msgspec.structs.replace(record, logs=()) for record in sorted(stored, key=key)
    ]
    assert len(logs.Logs(engine).lines()) == len(stored)
    counted = 0
    for total in book.totals():
        named = (total.function, total.trigger, total.status, total.cold_start)
        among = [r for r in stored if (r.function, r.trigger, r.status, r.cold_start) == named]
        counted += total.count
        for name in ("billed_ms", "cost_pico", "duration_us", "queue_ms", "init_ms"):
            assert getattr(total, name) == sum(getattr(record, name) for record in among)
        assert total.count == len(among)
    assert counted == len(stored)
    for histogram in book.histograms():
        values = [us for r in stored if r.function == histogram.function for us in _figures(r, histogram.figure)]
        assert histogram.sum_us == sum(values)
        assert histogram.buckets == tuple(
            (bound_us, sum(value <= bound_us for value in values)) for bound_us, _ in histogram.buckets
        )


def _figures(record: model.Record, figure: str) -> list[int]:
    ran = record.status in {"ok", "error", "timeout", "oom"}
    cold = record.cold_start is not model.ColdStart.NONE
    held = {
        "queue": [record.queue_ms * 1_000],
        "duration": [record.duration_us] if ran else [],
        "init": [record.init_ms * 1_000] if cold else [],
    }
    return held[figure]


def test_what_came_with_a_record_is_kept_as_it_came_but_for_the_log(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    newer = samples.ended(logs=())
    packed = msgspec.msgpack.encode([*msgspec.structs.astuple(newer), "a field of a newer platform"])
    logged = samples.ended()
    book.commit([newer, logged], [packed, msgspec.msgpack.encode(logged)])
    with engine.connect() as connection:
        bodies = dict(connection.execute(sa.select(schema.records.c.invocation_id, schema.records.c.body)).all())
    assert bytes(bodies[newer.invocation_id]) == packed
    assert msgspec.msgpack.decode(bodies[logged.invocation_id], type=model.Record).logs == ()
    assert book.get(newer.invocation_id) == [newer]


def test_logs_are_found_by_their_text_as_it_is_written(engine: sa.Engine) -> None:
    ledger.Ledger(engine).commit([samples.ended()])
    assert [row.text for row in logs.Logs(engine).lines(search="50%")] == ["50% done"]
    assert logs.Logs(engine).lines(search="5%done") == []


def test_the_report_line_reads_like_the_known_one() -> None:
    assert "Duration: 7.00 ms\tBilled Duration: 8 ms\tMemory Size: 128 MB" in billing.report_line(samples.ended())


def test_a_pending_revision_can_be_discarded_and_a_current_one_not(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    serving, pending = (catalog.add_revision("hello", name, CONFIG) for name in ("a", "b"))
    catalog.activate([serving], [])
    catalog.discard([pending.ref])
    assert catalog.get(pending.ref) is None
    with pytest.raises(errors.Conflict, match="hello@1 is the current revision"):
        catalog.discard([serving.ref])
    with pytest.raises(errors.BadRequest, match="is no revision"):
        catalog.get("hello")
    with pytest.raises(errors.NotFound):
        catalog.remove("nobody")


def test_many_who_add_a_revision_at_once_get_a_number_each(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    with ThreadPoolExecutor(4) as threads:
        added = threads.map(lambda n: catalog.add_revision("hello", str(n), CONFIG), range(12))
    assert sorted(revision.number for revision in added) == list(range(1, 13))


def test_revisions_of_many_functions_are_added_and_discarded_together(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    names = [f"f{number}" for number in range(1_001)]
    catalog.activate([catalog.add_revision(names[0], "a", CONFIG)], [])
    catalog.discard([catalog.add_revision(names[1], "a", CONFIG).ref])
    added = catalog.add_revisions([(name, "b", CONFIG) for name in names])
    assert [(one.function, one.number) for one in added] == [(name, 1 + (name in names[:2])) for name in names]
    assert {one.ref for one in catalog.revisions(*names)} == {"f0@1", *(one.ref for one in added)}
    catalog.activate(added[:2], [])
    with pytest.raises(errors.Conflict, match="f1@2 is the current revision"):
        catalog.discard([one.ref for one in added[2:]] + ["f1@2"])
    assert len(catalog.revisions(*names)) == 1_002, "none of them is discarded then"
    catalog.discard([one.ref for one in added[2:]])
    assert {one.ref for one in catalog.revisions(*names)} == {"f0@1", "f0@2", "f1@2"}
    assert [one.ref for one in catalog.list_current()] == ["f0@2", "f1@2"]
    assert catalog.add_revision(names[2], "c", CONFIG).number == 2
    assert catalog.add_revisions([]) == [] and catalog.revisions() == []


def test_a_bucket_that_is_declared_again_moves(engine: sa.Engine) -> None:
    catalog = functions.Functions(engine)
    catalog.activate([], [model.Bucket(name="photos"), model.Bucket(name="a")])
    catalog.activate([], [model.Bucket(name="photos", path="/inbox")])
    assert catalog.buckets() == [model.Bucket(name="a"), model.Bucket(name="photos", path="/inbox")]


def test_a_record_comes_back_as_it_was_whatever_it_holds(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    failure = model.Failure("Wörter", "a\0b \U0001f680", ("line\n1", ""))
    made = samples.ended(
        status=model.Status.ERROR,
        error=failure,
        duration_us=2**40,
        cost_pico=2**60,
        logs=(model.LogLine(1, "nul \0 and \U0001f680"), model.LogLine(2, "")),
    )
    book.commit([made])
    assert book.get(made.invocation_id) == [msgspec.structs.replace(made, logs=())]
    assert [row.text for row in logs.Logs(engine).lines()] == ["nul \N{REPLACEMENT CHARACTER} and \U0001f680", ""]


def test_a_batch_is_stored_whole_or_not_at_all(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    good, bad = samples.ended(), samples.ended(logs=(model.LogLine(2**80, "no database holds this moment"),))
    with pytest.raises((OverflowError, sa.exc.DBAPIError)):
        book.commit([good, bad])
    assert (book.get(good.invocation_id), book.totals(), book.histograms()) == ([], [], [])
    book.commit([good])
    assert [total.count for total in book.totals()] == [1]


def test_records_of_one_moment_are_paged_by_their_ids(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    made = [samples.ended(attempt=attempt) for attempt in (1, 2, 1, 2)]
    book.commit(made)
    seen: list[str] = []
    before = None
    while page := book.find(limit=1, before=before):
        before = ledger.PagePlace(page[0].ended_at_ms, page[0].invocation_id, page[0].attempt)
        seen.append(page[0].invocation_id)
    assert seen == sorted((record.invocation_id for record in made), reverse=True)


def test_a_bill_begins_with_the_day_that_holds_the_moment(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    book.commit([samples.ended(ended_at_ms=at_ms) for at_ms in (86_399_999, 86_400_000, 172_799_999)])
    assert [line.count for line in book.bill(172_799_999, "function")] == [2]
    assert [(line.name, line.count) for line in book.bill(0, "day")] == [("1970-01-01", 1), ("1970-01-02", 2)]
    assert book.bill(172_800_000, "trigger") == []
