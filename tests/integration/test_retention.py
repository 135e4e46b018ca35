"""The job that removes what is past its time, with the real store, Redis and artifacts. It may be killed anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from faas import artifacts, recorder
from faas.builds import folders
from faas.cluster import capacity, catalog
from faas.core import ids, keeping, model
from faas.core import settings as settings_module
from faas.queue import census, guards, invocations, retiring
from faas.retention import job, policy
from faas.store import dead_letters, functions, keep_rules, kept, ledger, logs, past, schema, undelivered
from faas.valkey import embedded
from tests import samples
from tests.eventually import eventually, eventually_sync

CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")
NOW_MS = time.time_ns() // 1_000_000


def days_ago(days: float) -> int:
    """A moment, as records have it."""
    return NOW_MS - int(days * policy.DAY_MS)


def ended(days: float, lines: int = 1, **changes: object) -> model.Record:
    """A record, with its log, of so many days ago."""
    at_ms = days_ago(days)
    text = tuple(model.LogLine(at_ms, f"line {number}") for number in range(lines))
    return samples.ended(ended_at_ms=at_ms, logs=text, **changes)


class Platform:
    """A store, a queue, and looks at what is past its time that do not wait."""

    def __init__(self, settings: settings_module.Settings, engine: sa.Engine, queue: invocations.Queue) -> None:
        self.settings = settings
        self.engine = engine
        self.queue = queue
        self.book = ledger.Ledger(engine)
        self.catalog = functions.Functions(engine)
        self.stop = asyncio.Event()

    async def look(self, times: int = 1, **changes: int) -> None:
        """Let a job look, with some settings changed."""
        settings = settings_module.changed(self.settings, **changes)
        looking = await job.Job.open(settings, self.stop, grace_s=0.0, synced_s=0.0)
        for _ in range(times):
            await looking.look()
        await looking.close()

    def kept(self, kind: str) -> kept.Kept:
        """What is kept of a kind."""
        return kept.read(self.engine).kinds[kind]

    def freed(self, kind: str) -> int:
        """How many of a kind were removed: one row is read, for whoever asks again and again."""
        with self.engine.connect() as connection:
            return connection.scalar(sa.select(schema.kept.c.freed).where(schema.kept.c.kind == kind)) or 0

    def count(self, table: sa.Table) -> int:
        """How many rows a table has."""
        with self.engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)

    def is_counted_right(self) -> bool:
        """Whether the counters say what there is."""
        with self.engine.connect() as connection:
            bodies = connection.scalars(sa.select(schema.records.c.body)).all()
            texts = connection.scalars(sa.select(schema.logs.c.text)).all()
        records, lines = self.kept(kept.RECORDS), self.kept(kept.LOGS)
        assert (records.count, records.bytes) == (len(bodies), sum(map(len, bodies)))
        assert (lines.count, lines.bytes) == (len(texts), sum(len(text.encode()) for text in texts))
        assert self.shares() == self.shares_looked_up()
        return True

    def shares(self) -> dict[tuple[str, str], tuple[int, int]]:
        """What is counted of each function."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(schema.kept_by_function)).all()
        return {(row.kind, row.function): (row.count, row.bytes) for row in rows}

    def shares_looked_up(self) -> dict[tuple[str, str], tuple[int, int]]:
        """What there is of each function."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        with self.engine.connect() as connection:
            sizes = [(kept.RECORDS, row[0], len(row[1])) for row in connection.execute(
                sa.select(schema.records.c.function, schema.records.c.body)
            )]  # fmt: skip
            sizes += [(kept.LOGS, row[0], len(row[1].encode())) for row in connection.execute(
                sa.select(schema.logs.c.function, schema.logs.c.text)
            )]  # fmt: skip
        for kind, function, size in sizes:
            count, before = found.get((kind, function), (0, 0))
            found[kind, function] = (count + 1, before + size)
        return found

    def rule(self, kind: keeping.KeepKind, days: float, function: str = keeping.ALL) -> None:
        """Set for how long something is kept, as somebody does while the platform runs."""
        keep_rules.KeepRules(self.engine).set(keeping.KeepRule(kind, function, int(days * policy.DAY_MS)))

    def days_left(self, table: sa.Table, at: str, function: str) -> list[int]:
        """How many days ago what is left of a function happened."""
        query = sa.select(table.c[at]).where(table.c.function == function)
        with self.engine.connect() as connection:
            return sorted(round((NOW_MS - at_ms) / policy.DAY_MS) for at_ms in connection.scalars(query))

    def sums(self) -> object:
        """Everything that must be the same before and after records go."""
        bills = [self.book.bill(since, by) for since in (0, days_ago(40)) for by in ("function", "day", "trigger")]  # type: ignore[arg-type]
        return bills, self.book.totals(), self.book.histograms()

    def deploy(self, name: str, days: list[float], *, artifact: str = "") -> list[model.Revision]:
        """Revisions of a function that were made so many days ago; the last one serves."""
        made = []
        for number, ago in enumerate(days, 1):
            revision = self.catalog.add_revision(name, artifact or self.artifact(f"{name}{number}"), CONFIG)
            with self.engine.begin() as connection:
                this = (schema.revisions.c.function == name, schema.revisions.c.number == revision.number)
                connection.execute(schema.revisions.update().where(*this).values(created_at_ms=days_ago(ago)))
            made.append(revision)
        self.catalog.activate(made[-1:], [])
        return made

    def artifact(self, content: str) -> str:
        """A packed and unpacked artifact."""
        source = self.settings.data.root / "source" / content
        source.mkdir(parents=True)
        (source / "app.py").write_text(content)
        store = artifacts.Artifacts(self.settings.data.root)
        digest, _ = store.pack(source)
        store.unpack(digest)
        return digest

    def refs(self, name: str) -> list[str]:
        """The revisions of a function that there are."""
        return [revision.ref for revision in self.catalog.revisions(name)]

    def on_disk(self) -> set[str]:
        """The artifacts that there are."""
        return set(artifacts.Artifacts(self.settings.data.root).sizes())

    async def run_one(self, ref: str, *, finish: bool = True) -> model.Invocation:
        """Enqueue an async invocation, and finish it."""
        name, _, number = ref.rpartition("@")
        call = model.Invocation(
            id=ids.new_id(), function=name, revision=int(number), trigger="invoke", mode=model.Mode.ASYNC, event=b"1",
            accepted_at_ms=1,
        )  # fmt: skip
        await self.queue.enqueue(call)
        if finish:
            (claim,) = await self.queue.claim("n1", ref, 1)
            await self.queue.finish_claimed(claim, samples.record(call), node="n1")
        return call


@pytest.fixture
async def platform(settings: settings_module.Settings) -> AsyncIterator[Platform]:
    from faas.store import database

    engine = database.open_database(settings.data)
    queue = await invocations.Queue.of(settings.redis, settings.queues, settings.results)
    yield Platform(settings, engine, queue)
    queue.close()
    engine.dispose()


# -- records and logs


async def test_a_look_at_nothing_finds_nothing(platform: Platform) -> None:
    assert kept.read(platform.engine).looked_at_ms == 0
    await platform.look()
    found = kept.read(platform.engine)
    assert set(found.kinds) == set(kept.KINDS)
    assert {(each.count, each.freed) for each in found.kinds.values()} == {(0, 0)}
    assert found.looked_at_ms >= NOW_MS
    assert found.database_bytes > 0


async def test_old_records_and_lines_go_and_bills_totals_and_histograms_are_what_they_were(platform: Platform) -> None:
    made = [
        ended(days, function=function, trigger=trigger, cost_pico=10**15 + number, status=status)
        for number, days in enumerate((1, 13, 15, 29, 31, 45, 400))
        for function in ("a", "b")
        for trigger in ("http", "timer")
        for status in (model.Status.OK, model.Status.ERROR)
    ]
    platform.book.commit(made)
    before = platform.sums()
    await platform.look()
    assert platform.sums() == before
    left = {record.invocation_id for record in platform.book.find(limit=1_000)}
    assert left == {record.invocation_id for record in made if record.ended_at_ms > days_ago(30)}
    assert (platform.count(schema.logs), platform.kept(kept.LOGS).freed) == (16, 40)
    assert platform.kept(kept.RECORDS).freed == 24
    assert platform.is_counted_right()
    platform.book.commit(made[:1])
    assert platform.sums() == before


async def test_kept_for_ever_is_for_ever(platform: Platform) -> None:
    platform.book.commit([ended(4_000)])
    settings = {"keep_records_days": 0, "keep_logs_days": 0, "keep_logs_mb": 0, "keep_dead_letters_days": 0}
    await platform.look(**settings)
    assert (platform.count(schema.records), platform.count(schema.logs)) == (1, 1)


async def test_a_function_has_a_time_of_its_own_whether_longer_or_shorter_than_that_of_all(platform: Platform) -> None:
    names = ("long", "short", "ever", "other")
    ages = (1, 5, 20, 40, 90)
    platform.book.commit([ended(days, function=name) for days in ages for name in names])
    for kind in (keeping.KeepKind.LOGS, keeping.KeepKind.RECORDS):
        platform.rule(kind, 30)
        platform.rule(kind, 60, "long")
        platform.rule(kind, 2, "short")
        platform.rule(kind, 0, "ever")
    await platform.look(times=2)
    for table, at in ((schema.logs, "at_ms"), (schema.records, "ended_at_ms")):
        left = {name: platform.days_left(table, at, name) for name in names}
        assert left == {"long": [1, 5, 20, 40], "short": [1], "ever": list(ages), "other": [1, 5, 20]}
    assert platform.is_counted_right()


async def test_what_stays_is_passed_once_and_what_comes_of_age_goes_all_the_same(platform: Platform) -> None:
    platform.rule(keeping.KeepKind.LOGS, 0, "ever")
    platform.rule(keeping.KeepKind.RECORDS, 0, "ever")
    looking = await job.Job.open(platform.settings, platform.stop, grace_s=0.0, synced_s=0.0)
    platform.book.commit([ended(100, function="ever"), ended(50, function="other")])
    await looking.look()
    # What is older than what was passed already waits for another process; what is newer does not.
    platform.book.commit([ended(49, function="other"), ended(31, function="ever")])
    await looking.look()
    await looking.close()
    assert platform.days_left(schema.records, "ended_at_ms", "other") == []
    assert platform.days_left(schema.logs, "at_ms", "other") == []
    assert platform.days_left(schema.records, "ended_at_ms", "ever") == [31, 100]


async def test_a_rule_counts_from_the_next_look_on_and_a_forgotten_one_no_longer(platform: Platform) -> None:
    looking = await job.Job.open(platform.settings, platform.stop, grace_s=0.0, synced_s=0.0)
    platform.book.commit([ended(9)])
    await looking.look()
    assert platform.count(schema.logs) == 1
    platform.rule(keeping.KeepKind.LOGS, 3, "hello")
    await looking.look()
    assert (platform.count(schema.logs), platform.count(schema.records)) == (0, 1)
    assert keep_rules.KeepRules(platform.engine).unset(keeping.KeepKind.LOGS, "hello")
    platform.book.commit([ended(9)])
    await looking.look()
    assert platform.count(schema.logs) == 1
    await looking.close()


async def test_what_a_manifest_says_counts_as_long_as_a_revision_serves_that_says_so(platform: Platform) -> None:
    saying = msgspec.structs.replace(CONFIG, keep={"logs": 3 * policy.DAY_MS, "records": 0})
    artifact = platform.artifact("shop")
    first = platform.catalog.add_revision("shop", artifact, saying)
    platform.catalog.activate([first], [])
    platform.book.commit([ended(days, function=function) for days in (9, 100) for function in ("shop", "other")])
    await platform.look()
    assert platform.days_left(schema.logs, "at_ms", "shop") == []
    assert platform.days_left(schema.records, "ended_at_ms", "shop") == [9, 100]
    assert platform.days_left(schema.logs, "at_ms", "other") == [9]
    platform.rule(keeping.KeepKind.RECORDS, 50, "shop")
    platform.catalog.activate([platform.catalog.add_revision("shop", artifact, CONFIG)], [])
    assert [rule.origin for rule in keep_rules.KeepRules(platform.engine).all()] == [keeping.RuleOrigin.SET]
    platform.catalog.activate([first], [])
    assert len(keep_rules.KeepRules(platform.engine).all()) == 3


async def test_the_rules_of_a_function_that_has_ended_go_with_the_last_that_is_left_of_it(platform: Platform) -> None:
    platform.deploy("shop", [90])
    platform.rule(keeping.KeepKind.LOGS, 50, "shop")
    platform.rule(keeping.KeepKind.RECORDS, 50, "shop")
    platform.rule(keeping.KeepKind.RECORDS, 60)
    platform.book.commit([ended(40, function="shop")])
    platform.catalog.remove("shop")
    await platform.look()
    rules = keep_rules.KeepRules(platform.engine)
    assert len(rules.all()) == 3
    platform.rule(keeping.KeepKind.LOGS, 30, "shop")
    platform.rule(keeping.KeepKind.RECORDS, 30, "shop")
    await platform.look()
    assert [rule.function for rule in rules.all()] == [keeping.ALL]


async def test_the_oldest_lines_go_when_all_are_more_than_may_be(platform: Platform) -> None:
    text = "ü" * 1_000  # two bytes each
    many = [samples.ended(ended_at_ms=NOW_MS, logs=(model.LogLine(NOW_MS, text),) * 100) for _ in range(20)]
    platform.book.commit(many)
    assert platform.kept(kept.LOGS).bytes == 4_000_000
    await platform.look(keep_logs_mb=2)
    assert platform.kept(kept.LOGS).bytes <= 2 * 1024 * 1024
    assert platform.kept(kept.LOGS).bytes > 1_500_000
    assert platform.is_counted_right()
    assert logs.Logs(platform.engine).lines(limit=1)[0].id == platform.kept(kept.LOGS).freed + 1


async def test_a_record_whose_entry_is_in_redis_still_stays_or_it_would_be_billed_twice(platform: Platform) -> None:
    old = ended(400)
    platform.book.commit([old])
    keys = platform.queue.keys
    await platform.queue.link.call("XADD", keys.records, "*", "r", msgspec.msgpack.encode(old))
    looking = asyncio.create_task(platform.look())
    await eventually(lambda: platform.count(schema.logs) == 0)
    assert platform.book.get(old.invocation_id)
    recording = asyncio.create_task(
        recorder.run(platform.settings.data, platform.settings.redis, platform.settings.queues, platform.stop)
    )
    await asyncio.wait_for(looking, 20)
    assert platform.book.get(old.invocation_id) == []
    assert [line.count for line in platform.book.bill(0, "function")] == [1]
    platform.stop.set()
    await recording


async def test_dead_letters_go_by_age_with_the_mark_of_what_they_were_sent_again_as(platform: Platform) -> None:
    marks = platform.queue.keys.guard(guards.DEAD_LETTERS)
    for days in (89, 91):
        record = ended(days, dead=True)
        call = model.Invocation(
            id=record.invocation_id, function="hello", revision=1, trigger="invoke", mode=model.Mode.ASYNC,
            event=b"1", accepted_at_ms=1,
        )  # fmt: skip
        letters = {(record.invocation_id, record.attempt): msgspec.msgpack.encode(call)}
        platform.book.commit([record], letters=letters)
        await platform.queue.link.call("HSET", marks, record.invocation_id, "again")
        undelivered.UndeliveredRecords(platform.engine).keep(samples.undelivered(given_up_at_ms=days_ago(days)))
    await platform.look()
    (left,) = dead_letters.DeadLetters(platform.engine).find(None, 10)
    assert await platform.queue.link.call("HKEYS", marks) == [left.record.invocation_id.encode()]
    assert platform.count(schema.undelivered) == 1
    assert (platform.kept(kept.DEAD_LETTERS).count, platform.kept(kept.DEAD_LETTERS).freed) == (1, 1)


# -- many, killed, concurrent


MANY = 50_000
"""Half of them are old: more than are looked up at once."""

_LOOK = """
import asyncio, sys
from faas.core import settings
from faas.retention import job

async def look():
    looking = await job.Job.open(settings.load(), asyncio.Event(), grace_s=0.0, synced_s=0.0)
    print("looks", flush=True)
    await looking.look()
    await looking.close()

asyncio.run(look())
"""


def looking(settings: settings_module.Settings) -> subprocess.Popen[bytes]:
    """A job that looks once, in a process of its own."""
    environ = settings_module.to_environ(settings)
    return subprocess.Popen([sys.executable, "-c", _LOOK], env=environ, stdout=subprocess.PIPE)


def store_many(platform: Platform, count: int) -> None:
    """Records of 400 and of 2 days ago, in turns, with a line each."""
    step = 5_000
    for _ in range(0, count, step):
        platform.book.commit([ended(400 if number % 2 else 2) for number in range(step)])


async def test_many_records_go_in_steps_that_hold_up_no_recorder_and_survive_kills(
    platform: Platform,
) -> None:
    await asyncio.to_thread(store_many, platform, MANY)
    before = platform.sums()
    for share in (0.1, 0.3, 0.6):
        with looking(platform.settings) as process:
            try:
                bound = MANY // 2 * share
                await eventually(lambda bound=bound: platform.freed(kept.RECORDS) >= bound, within=180)
            finally:
                process.kill()
        assert platform.sums() == before
        assert platform.count(schema.records) == platform.kept(kept.RECORDS).count
        assert platform.kept(kept.RECORDS).count + platform.kept(kept.RECORDS).freed == MANY
    task = asyncio.create_task(platform.look())
    slowest_s = 0.0
    while not task.done():
        began = time.monotonic()
        await asyncio.to_thread(platform.book.commit, [ended(1)])
        slowest_s = max(slowest_s, time.monotonic() - began)
        await asyncio.wait({task}, timeout=0.05)
    await task
    assert platform.kept(kept.RECORDS).freed == platform.kept(kept.LOGS).freed == MANY // 2
    assert platform.is_counted_right()
    assert slowest_s < 2.0


async def test_one_job_at_a_time_removes_however_many_look(platform: Platform) -> None:
    platform.book.commit([ended(400) for _ in range(2_000)])
    await asyncio.gather(*(platform.look() for _ in range(4)))
    assert platform.kept(kept.RECORDS).freed == 2_000
    assert platform.is_counted_right()


async def test_a_job_that_is_told_to_stop_leaves_the_rest_to_the_next(platform: Platform) -> None:
    platform.book.commit([ended(400) for _ in range(5_000)])
    task = asyncio.create_task(platform.look())
    await eventually(lambda: platform.freed(kept.LOGS) > 0)
    platform.stop.set()
    await asyncio.wait_for(task, 10)
    assert platform.count(schema.records) > 0
    assert platform.is_counted_right()


async def test_logs_go_while_redis_is_away_and_records_wait_for_it(platform: Platform, tmp_path: Path) -> None:
    platform.book.commit([ended(400)])
    server = embedded.EmbeddedServer(tmp_path / "redis")
    settings = settings_module.changed(platform.settings, redis_url=await server.start())
    looking = await job.Job.open(settings, platform.stop, grace_s=0.0, synced_s=0.0)
    await server.stop()
    await looking.look()
    assert (platform.count(schema.records), platform.count(schema.logs)) == (1, 0)
    await server.start()
    await looking.look()
    assert platform.count(schema.records) == 0
    await looking.close()
    await server.stop()


# -- revisions and artifacts


async def test_old_revisions_go_with_their_keys_trees_and_tars_and_their_sums_stay(platform: Platform) -> None:
    made = platform.deploy("hello", [90, 80, 70, 60])
    for revision in made:
        await platform.run_one(revision.ref)
    before = await platform.queue.counts()
    await platform.look(keep_revisions=2)
    assert platform.refs("hello") == ["hello@3", "hello@4"]
    assert platform.on_disk() == {made[2].artifact, made[3].artifact}
    assert await retiring.refs(platform.queue) == ["hello@0", "hello@3", "hello@4"]
    after = await platform.queue.counts()
    assert sum(each.accepted for each in after.values()) == sum(each.accepted for each in before.values()) == 4
    assert not any(each.drift for each in after.values())
    assert (platform.kept(kept.REVISIONS).count, platform.kept(kept.REVISIONS).freed) == (2, 2)
    assert (platform.kept(kept.ARTIFACTS).count, platform.kept(kept.ARTIFACTS).freed) == (2, 2)
    assert platform.kept(kept.ARTIFACTS).freed_bytes > 0
    assert (await census.held(platform.queue)).is_right


async def test_a_number_of_a_removed_function_is_never_given_again(platform: Platform) -> None:
    platform.deploy("hello", [90, 80])
    await platform.run_one("hello@2")
    platform.catalog.remove("hello")
    await platform.look()
    assert (platform.refs("hello"), platform.on_disk()) == ([], set())
    assert await retiring.refs(platform.queue) == []
    assert platform.catalog.add_revision("hello", "a" * 64, CONFIG).number == 3


@pytest.mark.parametrize("place", ["waiting", "running", "retrying", "slot", "dead letter", "undelivered", "outbox"])
async def test_a_revision_that_something_needs_stays(platform: Platform, place: str) -> None:
    made = platform.deploy("hello", [90, 80, 70])
    queue = platform.queue
    if place in ("waiting", "running"):
        await platform.run_one("hello@1", finish=False)
    if place == "running":
        assert await queue.claim("n1", "hello@1", 1)
    if place == "retrying":
        call = msgspec.structs.replace(await platform.run_one("hello@2"), id=ids.new_id(), revision=1)
        await queue.enqueue(call, delay_ms=3_600_000)
    if place == "slot":
        versions = await catalog.Catalog.open(platform.settings.redis.redis_url, platform.settings.redis.redis_prefix)
        state = catalog.NodeState(catalog=99, host="h", pid=1, memory_mb=1)
        await versions.renew("n1", state, 60_000)
        capacity.publish(queue, "n1", "hello@1", 1)
        await versions.close()
    if place == "dead letter":
        record = ended(1, dead=True)
        call = msgspec.structs.replace(await platform.run_one("hello@1"), id=record.invocation_id)
        letters = {(record.invocation_id, record.attempt): msgspec.msgpack.encode(call)}
        platform.book.commit([record], letters=letters)
    if place == "undelivered":
        undelivered.UndeliveredRecords(platform.engine).keep(samples.undelivered(given_up_at_ms=NOW_MS))
    if place == "outbox":
        key = queue.keys.outbox("hello@1", "success")
        await queue.link.call("XADD", key, "*", "s", b"x", "i", b"y")
    await platform.look(keep_revisions=1)
    assert platform.refs("hello") == ["hello@1", "hello@3"]
    assert platform.on_disk() == {made[0].artifact, made[2].artifact}


async def test_a_revision_goes_only_when_it_was_superfluous_for_a_while(platform: Platform) -> None:
    platform.deploy("hello", [90, 80])
    settings = settings_module.changed(platform.settings, keep_revisions=1)
    looking = await job.Job.open(settings, platform.stop, grace_s=3_600.0, synced_s=0.0)
    for _ in range(3):
        await looking.look()
    await looking.close()
    assert platform.refs("hello") == ["hello@1", "hello@2"]


async def test_nothing_goes_while_a_node_does_not_know_the_catalog_yet(platform: Platform) -> None:
    platform.deploy("hello", [90, 80])
    versions = await catalog.Catalog.open(platform.settings.redis.redis_url, platform.settings.redis.redis_prefix)
    state = catalog.NodeState(catalog=0, host="h", pid=1, memory_mb=1)
    await versions.renew("n1", state, 60_000)
    await platform.look(keep_revisions=1)
    assert platform.refs("hello") == ["hello@1", "hello@2"]
    await versions.renew("n1", msgspec.structs.replace(state, catalog=1), 60_000)
    await platform.look(keep_revisions=1)
    assert platform.refs("hello") == ["hello@2"]
    await versions.close()


async def test_nothing_goes_that_a_deploy_holds(platform: Platform) -> None:
    made = platform.deploy("hello", [90, 80])
    places = folders.BuildFolders(platform.settings.data.root)
    with folders.held(places.lock("function", "hello")):
        await platform.look(keep_revisions=1)
        assert platform.refs("hello") == ["hello@1", "hello@2"]
    with folders.held(places.lock("artifact", made[0].artifact), shared=True):
        await platform.look(keep_revisions=1)
        assert platform.refs("hello") == ["hello@2"]
        assert made[0].artifact in platform.on_disk()
    await platform.look(keep_revisions=1)
    assert platform.on_disk() == {made[1].artifact}


async def test_what_was_cut_off_between_its_steps_is_gone_after_the_next_look(platform: Platform) -> None:
    made = platform.deploy("hello", [90, 80, 70, 60])
    for revision in made:
        await platform.run_one(revision.ref)
    await retiring.retire(platform.queue, "hello@1", counted_on=True)  # killed before SQL
    row = next(row for row in past.Past(platform.engine).all() if row.number == 2)
    past.Past(platform.engine).drop(row)  # and in the other order, as when a late node wrote once more
    await platform.look(keep_revisions=2)
    assert platform.refs("hello") == ["hello@3", "hello@4"]
    assert await retiring.refs(platform.queue) == ["hello@0", "hello@3", "hello@4"]
    assert (await platform.queue.counts())["hello@0"].accepted == 2
    assert platform.on_disk() == {made[2].artifact, made[3].artifact}


async def test_an_artifact_that_a_revision_shares_stays_and_a_tree_without_a_tar_goes(platform: Platform) -> None:
    shared = platform.artifact("shared")
    platform.deploy("a", [90, 80], artifact=shared)
    lost = platform.artifact("lost")
    (platform.settings.data.root / "artifacts" / f"{lost}.tar").unlink()
    await platform.look(keep_revisions=1)
    assert platform.refs("a") == ["a@2"]
    assert platform.on_disk() == {shared}


# -- the process


@contextlib.contextmanager
def recorder_process(settings: settings_module.Settings) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "faas.cli.main", "recorder"]
    with subprocess.Popen(command, env=settings_module.to_environ(settings), stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.terminate()


def test_a_recorder_removes_what_is_past_its_time_and_ends_when_told(settings: settings_module.Settings) -> None:
    from faas.store import database

    engine = database.open_database(settings.data)
    ledger.Ledger(engine).commit([ended(400), ended(1)])
    often = settings_module.changed(settings, retention_interval_s=1)
    with recorder_process(often) as process:
        eventually_sync(lambda: kept.read(engine).kinds[kept.RECORDS].freed == 1, within=30)
        process.terminate()
        assert process.wait(15) == 0
    engine.dispose()
