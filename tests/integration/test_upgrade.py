"""A newer platform starts on what an older one left; an older one refuses what a newer one left, in one line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.core.calls import unrun
from faas.queue import census, invocations, whereabouts
from faas.queue import keys as keyring
from faas.store import database, functions, kept, ledger, schema
from tests import platform, samples

LINEAGE = ("parent_id", "root_id")
CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


def test_a_database_of_the_first_revision_is_brought_up_and_keeps_what_it_holds(
    settings: settings_module.Settings,
) -> None:
    url = settings.data.database_url or f"sqlite:///{settings.data.root / 'ledger.db'}"
    first = sa.create_engine(url)
    database._migrate(first, "0001")
    kept = functions.Functions(first).add_revision("hello", "a" * 64, CONFIG)
    # As the platform of then made it current: today's writes to tables that came later.
    with first.begin() as connection:
        connection.execute(schema.functions.insert().values(name="hello", current=1))
        connection.execute(schema.catalog.update().values(version=1))
    first.dispose()
    opened = database.open_database(settings.data)
    assert functions.Functions(opened).current("hello") == kept
    assert functions.Functions(opened).catalog_version() == 1
    opened.dispose()


def test_records_of_before_lineage_are_read_after_it_and_begin_no_chain(settings: settings_module.Settings) -> None:
    url = settings.data.database_url or f"sqlite:///{settings.data.root / 'ledger.db'}"
    before = sa.create_engine(url)
    database._migrate(before, "0002")
    old = samples.ended()
    fields = msgspec.structs.astuple(old)[: -len(LINEAGE)]
    row = {name: getattr(old, name) for name in ("invocation_id", "attempt", "function", "duration_us", "queue_ms")}
    row |= {"init_ms": 0, "ended_at_ms": old.ended_at_ms, "status": "ok", "cold_start": "none"}
    with before.begin() as connection:
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        query = sa.text(f"INSERT INTO records ({names}, body) VALUES ({values}, :body)")
        connection.execute(query, {**row, "body": msgspec.msgpack.encode(fields)})
    before.dispose()
    opened = database.open_database(settings.data)
    new = samples.ended(root_id=old.invocation_id, parent_id=old.invocation_id, depth=1)
    book = ledger.Ledger(opened)
    book.commit([new])
    assert {record.invocation_id for record in book.find(root_id=old.invocation_id)} == {
        old.invocation_id, new.invocation_id,
    }  # fmt: skip
    assert book.get(old.invocation_id)[0].root_id is None
    opened.dispose()


async def test_what_an_older_platform_left_in_redis_is_found_cancelled_and_run(redis_url: str, prefix: str) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix)
    await queue.link.call("SET", queue.keys.format, "2")
    old = []
    for _ in range(2):
        made = model.Invocation(
            id=ids.new_id(), function="f", revision=1, trigger="timer", mode=model.Mode.ASYNC, event=b"1",
            accepted_at_ms=1,
        )  # fmt: skip
        await queue.enqueue(made)
        entry = (await queue.link.call("XREVRANGE", queue.keys.queue("f@1", "async"), "+", "-", "COUNT", 1))[0][0]
        packed = msgspec.msgpack.encode(msgspec.structs.astuple(made)[:11])
        await queue.link.call("XDEL", queue.keys.queue("f@1", "async"), entry)
        entry = await queue.link.call("XADD", queue.keys.queue("f@1", "async"), "*", "i", packed)
        await queue.link.call("HSET", queue.keys.call(made.id), "entry", entry)
        old.append(made)
    queue.close()
    queue = await invocations.Queue.connect(redis_url, prefix)
    assert await queue.link.call("GET", queue.keys.format) == keyring.FORMAT.encode()
    found = await whereabouts.find(queue, old[0].id)
    assert found is not None
    assert found.invocation == old[0]
    assert await whereabouts.cancel(queue, old[0], found.packed, unrun.cancelled(old[0], 1))
    (claim,) = await queue.claim("n", "f@1", 9)
    assert (claim.invocation, claim.invocation.chain_id) == (old[1], old[1].id)
    await queue.finish_claimed(claim, samples.record(claim.invocation), node="n")
    assert (await queue.counts())["f@1"] == model.Counts(accepted=2, done=2)
    queue.close()


@pytest.mark.parametrize("found", ["2", "4"])
async def test_calls_that_an_older_platform_handed_off_and_never_ended_are_lost(
    redis_url: str, prefix: str, found: str
) -> None:
    """Also when two newer ones come at once, and when one was killed after some of them."""
    queue = await invocations.Queue.connect(redis_url, prefix)
    running, settled = queue.keys.handed_off("old")
    calls = [
        model.Invocation(
            id=ids.new_id(), function="f", revision=1, trigger="http", mode=model.Mode.SYNC, event=b"", accepted_at_ms=1
        )
        for _ in range(5)
    ]
    await queue.prepare("f@1")
    await queue.link.call("SADD", queue.keys.nodes, "old")
    await queue.link.call("SADD", settled, "f@1 of-before")
    if found == "2":  # it counted them as accepted when they began
        await queue.link.call("HINCRBY", queue.keys.counts("f@1"), "accepted", len(calls))
    # The format is set last: as it was, with some calls settled, is how one that was killed leaves it.
    for some in (calls[:2], calls[2:]):
        for call in some:
            await queue.link.call("HSET", running, f"f@1 {call.id}", msgspec.msgpack.encode(call))
        await queue.link.call("SET", queue.keys.format, found)
        for newer in await asyncio.gather(*(invocations.Queue.connect(redis_url, prefix) for _ in range(2))):
            newer.close()
    assert (await queue.counts())["f@1"] == model.Counts(accepted=5, done=5)
    entries = await queue.link.call("XRANGE", queue.keys.records, "-", "+")
    records = [msgspec.msgpack.decode(fields[1], type=model.Record) for _, fields in entries]
    assert sorted(record.invocation_id for record in records) == sorted(call.id for call in calls)
    assert {record.status for record in records} == {model.Status.LOST}
    assert await queue.link.call("EXISTS", running, settled) == 0
    assert (await census.held(queue)).is_right
    queue.close()


def test_a_database_of_a_later_revision_is_refused(settings: settings_module.Settings) -> None:
    opened = database.open_database(settings.data)
    with opened.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    opened.dispose()
    with pytest.raises(errors.Conflict, match="revision 9999") as refused:
        database.open_database(settings.data)
    assert refused.value.exit_code == 5


async def test_a_process_refuses_a_redis_of_a_later_format_in_one_line(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix)
    await queue.link.call("SET", queue.keys.format, "99")
    queue.close()
    one = platform.Platform(tmp_path / "data", {"FAAS_REDIS_URL": redis_url, "FAAS_REDIS_PREFIX": prefix})
    done = one.faas("scheduler")
    assert done.returncode == errors.Conflict.exit_code, done.stderr
    assert "Redis holds format 99" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_was_stored_before_retention_is_counted_and_its_letters_know_their_revisions(
    settings: settings_module.Settings,
) -> None:
    url = settings.data.database_url or f"sqlite:///{settings.data.root / 'ledger.db'}"
    before = sa.create_engine(url)
    database._migrate(before, "0003")
    record = samples.ended(revision=7, logs=())
    given_up = samples.undelivered()
    with before.begin() as connection:
        for number in range(250):  # more than are read at once
            row = {"id": f"{number:03}", "record": msgspec.msgpack.encode(record), "body": b"12345"}
            connection.execute(_LETTER, row)
            connection.execute(_RECORD, row)
            connection.execute(_LINE, {**row, "text": "für"})
        packed = msgspec.msgpack.encode(given_up.invocation)
        connection.execute(_UNDELIVERED, {"id": given_up.invocation.id, "invocation": packed})
    before.dispose()
    opened = database.open_database(settings.data)
    found = kept.read(opened).kinds
    assert (found[kept.RECORDS].count, found[kept.RECORDS].bytes) == (250, 1_250)
    assert (found[kept.LOGS].count, found[kept.LOGS].bytes) == (250, 1_000)
    assert (found[kept.DEAD_LETTERS].count, found[kept.UNDELIVERED].count) == (250, 1)
    with opened.connect() as connection:
        assert set(connection.scalars(sa.select(schema.dead_letters.c.revision))) == {7}
        assert set(connection.scalars(sa.select(schema.undelivered.c.revision))) == {1}
        shares = {tuple(row) for row in connection.execute(sa.select(schema.kept_by_function))}
    assert shares == {(kept.RECORDS, "hello", 250, 1_250), (kept.LOGS, "hello", 250, 1_000)}
    ledger.Ledger(opened).commit([samples.ended()])
    assert kept.read(opened).kinds[kept.RECORDS].count == 251
    opened.dispose()


_LETTER = sa.text(
    "INSERT INTO dead_letters (invocation_id, function, died_at_ms, invocation, record)"
    " VALUES (:id, 'hello', 1, :body, :record)"
)
_RECORD = sa.text(
    "INSERT INTO records (invocation_id, attempt, function, status, ended_at_ms, duration_us, queue_ms, init_ms,"
    " cold_start, body) VALUES (:id, 1, 'hello', 'ok', 1, 1, 1, 1, 'none', :body)"
)
_LINE = sa.text(
    "INSERT INTO logs (at_ms, function, revision, invocation_id, attempt, text) VALUES (1, 'hello', 1, :id, 1, :text)"
)
_UNDELIVERED = sa.text(
    "INSERT INTO undelivered (invocation_id, function, given_up_at_ms, destination, attempts, reason, settled,"
    " invocation) VALUES (:id, 'hello', 1, 'd', 1, 'r', :invocation, :invocation)"
)
