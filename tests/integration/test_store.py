"""The store over a real SQLite file: the catalog, the ledger, its totals and the logs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime import migration

from faas.core import billing, model
from faas.core import settings as settings_module
from faas.store import database, functions, ledger, logs, schema
from tests import samples

CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    engine = database.open_database(settings)
    yield engine
    engine.dispose()


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


def test_many_may_open_a_new_database_at_once(settings: settings_module.Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        for engine in threads.map(lambda _: database.open_database(settings), range(4)):
            assert functions.Functions(engine).catalog_version() == 0
            engine.dispose()


def test_the_migrations_make_the_tables_that_the_schema_names(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert autogenerate.compare_metadata(context, schema.metadata) == []


def test_a_replayed_record_is_billed_once(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    first, second = samples.ended(), samples.ended()
    book.commit([("1-0", first), ("1-0", first)])
    book.commit([("1-0", first), ("2-0", second)])
    expected = ledger.BillLine(name="hello", count=2, billed_ms=16, cost_pico=433_334)
    assert book.bill(0, "function") == [expected]
    assert [line.name for line in book.bill(0, "day")] == ["1970-01-01"]
    assert len(logs.Logs(engine).lines()) == 2
    assert book.get(first.invocation_id) == [msgspec.structs.replace(first, logs=())]


def test_percentiles_are_exact(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    book.commit([("", samples.ended(duration_us=n)) for n in range(1, 101)])
    (line,) = book.stats(0)
    assert (line.count, line.duration_us) == (100, (50, 95, 99))


def test_logs_are_found_by_their_text_as_it_is_written(engine: sa.Engine) -> None:
    ledger.Ledger(engine).commit([("", samples.ended())])
    assert [row.text for row in logs.Logs(engine).lines(search="50%")] == ["50% done"]
    assert logs.Logs(engine).lines(search="5%done") == []


def test_the_report_line_reads_like_the_known_one() -> None:
    assert "Duration: 7.00 ms\tBilled Duration: 8 ms\tMemory Size: 128 MB" in billing.report_line(samples.ended())
