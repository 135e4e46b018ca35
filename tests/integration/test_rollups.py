"""Figures over time are those of the records, merged or not, however often somebody is killed over it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from faas.core import clock, ids, model, sketches
from faas.core import settings as settings_module
from faas.store import database, ledger, rolling, rollups, schema, spans
from tests import samples

MINUTE, HOUR, DAY = spans.MINUTE_MS, spans.HOUR_MS, spans.DAY_MS
NOW_MS = clock.now_ms()
FAR_MS = NOW_MS + DAY
PER_MILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}
BYS: dict[rollups.By, Callable[[model.Record], str]] = {
    "function": lambda record: record.function,
    "revision": lambda record: f"{record.function}@{record.revision}",
    "trigger": lambda record: record.trigger,
    "status": lambda record: record.status.value,
    "cold_start": lambda record: record.cold_start.value,
    "all": lambda record: "all",
}


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    engine = database.open_database(settings.data)
    yield engine
    engine.dispose()


def some(count: int, seed: int = 1, back_ms: int = 3 * DAY) -> list[model.Record]:
    chance = random.Random(seed)
    return [
        samples.ended(
            function=chance.choice(["hello", "other", "third"]),
            revision=chance.choice([1, 1, 2]),
            trigger=chance.choice(["http", "timer"]),
            status=chance.choice([model.Status.OK] * 5 + list(model.Status)),
            cold_start=chance.choice([model.ColdStart.NONE] * 5 + list(model.ColdStart)),
            ended_at_ms=NOW_MS - chance.randrange(back_ms),
            duration_us=int(chance.lognormvariate(9, 2)),
            queue_ms=chance.choice([0, 0, 1, 7, 900]),
            init_ms=chance.randrange(3_000),
            billed_ms=chance.randrange(10_000),
            cost_pico=chance.randrange(10**12),
            logs=(),
        )
        for _ in range(count)
    ]


def close(found: rollups.Quantiles, values: list[int]) -> None:
    ordered = sorted(values)
    for name, share in PER_MILLE.items():
        exact = ordered[-(-len(ordered) * share // 1000) - 1] if ordered else 0
        assert abs(getattr(found, name) - exact) <= exact * sketches.ERROR


def same(figures: rollups.Figures, among: Sequence[model.Record], *, quantiles: bool = True) -> None:
    """These are the figures of these records."""
    assert rollups.ExactFigures.of(figures) == rollups.ExactFigures(
        count=len(among),
        errors=sum(each.status is not model.Status.OK for each in among),
        cold_starts=sum(each.cold_start is not model.ColdStart.NONE for each in among),
        billed_ms=sum(each.billed_ms for each in among),
        cost_pico=sum(each.cost_pico for each in among),
    )
    if quantiles:
        ran = {model.Status.OK, model.Status.ERROR, model.Status.TIMEOUT, model.Status.OOM}
        close(figures.duration_us, [max(each.duration_us, 0) for each in among if each.status in ran])
        close(figures.queue_ms, [each.queue_ms for each in among])
        close(figures.init_ms, [each.init_ms for each in among if each.cold_start is not model.ColdStart.NONE])


def adds_up(engine: sa.Engine, records: Sequence[model.Record], since_ms: int = 0, until_ms: int = FAR_MS) -> None:
    """Whatever is asked of roll-ups is what these records say."""
    book = rollups.Rollups(engine)
    times = book.times(since_ms, until_ms)
    end_ms = times.until_ms if until_ms < NOW_MS else FAR_MS
    within = [each for each in records if times.since_ms <= each.ended_at_ms < end_ms]
    for by, name in BYS.items():
        found = book.summary(since_ms, until_ms, by)
        assert [each.name for each in found] == sorted({name(each) for each in within})
        for each in found:
            same(each.figures, [record for record in within if name(record) == each.name])
    counts = book.counts(since_ms, until_ms)
    durations = book.durations(since_ms, until_ms, 990)
    assert durations == {
        each.name: each.figures.duration_us.p99 for each in book.summary(since_ms, until_ms, "function")
    }
    assert counts == {
        each.name: rollups.ExactFigures.of(each.figures) for each in book.summary(since_ms, until_ms, "function")
    }


def all_merged(engine: sa.Engine) -> None:
    merger = rolling.Merger(engine)
    while merger.merge():
        pass
    assert merger.waiting() == rolling.UnmergedParts(0, 0)


def test_figures_are_those_of_the_records_before_and_after_they_are_merged(engine: sa.Engine) -> None:
    book, records = ledger.Ledger(engine), some(400)
    for start in range(0, 400, 50):
        book.commit(records[start : start + 50])
    adds_up(engine, records)
    rolling.Merger(engine).merge(most_groups=100)
    adds_up(engine, records)
    all_merged(engine)
    adds_up(engine, records)
    for since_ms, until_ms in ((NOW_MS - DAY, FAR_MS), (NOW_MS - 2 * DAY, NOW_MS - DAY), (NOW_MS - 3 * HOUR, NOW_MS)):
        adds_up(engine, records, since_ms, until_ms)
    more = some(100, seed=2)
    book.commit(more)
    adds_up(engine, records + more)
    all_merged(engine)
    adds_up(engine, records + more, NOW_MS - 26 * HOUR)


def test_rows_of_before_upper_ends_were_kept_are_read_through(engine: sa.Engine) -> None:
    book, records = ledger.Ledger(engine), some(400)
    book.commit(records[:300])
    all_merged(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE rollups SET slowest = NULL WHERE span_ms = 3600000 OR at_ms % 7 = 0")
    book.commit(records[300:])
    for since_ms in (0, NOW_MS - DAY, NOW_MS - 3 * HOUR):
        adds_up(engine, records, since_ms)


def test_one_function_is_told_apart_by_what_is_asked_for(engine: sa.Engine) -> None:
    records = some(200)
    ledger.Ledger(engine).commit(records)
    for _ in range(2):
        book = rollups.Rollups(engine)
        assert [each.name for each in book.summary(0, FAR_MS, "revision", "hello")] == ["1", "2"]
        ours = [each for each in records if each.function == "hello"]
        (whole,) = book.summary(0, FAR_MS, "all", "hello")
        same(whole.figures, ours)
        for each in book.summary(0, FAR_MS, "status", "hello"):
            same(each.figures, [record for record in ours if record.status == each.name])
        assert [each.name for each in book.summary(0, FAR_MS, function=["hello", "third", "none"])] == [
            "hello",
            "third",
        ]
        assert book.summary(0, FAR_MS, function=[]) == book.summary(0, FAR_MS, function="none") == []
        all_merged(engine)


def test_a_replayed_record_counts_once(engine: sa.Engine) -> None:
    book, records = ledger.Ledger(engine), some(60)
    book.commit(records[:40])
    book.commit([*records[20:], *records[:5]])
    all_merged(engine)
    book.commit(records)
    adds_up(engine, records)


def test_a_record_that_comes_late_lands_in_its_own_span(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    now = samples.ended(ended_at_ms=NOW_MS)
    book.commit([now])
    all_merged(engine)
    late, ahead = samples.ended(ended_at_ms=NOW_MS - 2 * DAY), samples.ended(ended_at_ms=NOW_MS + HOUR)
    book.commit([late])
    book.commit([ahead])
    all_merged(engine)
    (series,) = rollups.Rollups(engine).series(NOW_MS - 3 * DAY, FAR_MS, HOUR)
    hours = [each.ended_at_ms // HOUR * HOUR for each in (late, now, ahead)]
    assert [point.at_ms for point in series.points] == hours


def test_series_are_the_summary_cut_up(engine: sa.Engine) -> None:
    records = some(300)
    ledger.Ledger(engine).commit(records[:200])
    all_merged(engine)
    ledger.Ledger(engine).commit(records[200:])
    book = rollups.Rollups(engine)
    for every_ms in (MINUTE, 90 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY):
        for quantiles in (True, False):
            for series in book.series(0, FAR_MS, every_ms, with_quantiles=quantiles):
                assert list(series.points) == sorted(series.points, key=lambda point: point.at_ms)
                ours = [each for each in records if each.function == series.name]
                assert sum(point.figures.count for point in series.points) == len(ours)
                for point in series.points:
                    within = [each for each in ours if each.ended_at_ms // every_ms * every_ms == point.at_ms]
                    same(point.figures, within, quantiles=quantiles)
    assert [each.name for each in book.series(0, FAR_MS, DAY, "status")] == sorted({each.status for each in records})


def test_values_that_a_jumping_clock_gives_are_taken(engine: sa.Engine) -> None:
    records = [
        samples.ended(duration_us=-5, queue_ms=-70, ended_at_ms=NOW_MS),
        samples.ended(duration_us=2**50, queue_ms=2**50, ended_at_ms=0),
    ]
    ledger.Ledger(engine).commit(records)
    all_merged(engine)
    (found,) = rollups.Rollups(engine).summary(0, FAR_MS)
    assert found.figures.count == 2
    assert (found.figures.duration_us.p50, found.figures.queue_ms.p50) == (0, 0)
    assert abs(found.figures.duration_us.p99 - 2**50) <= 2**50 * sketches.ERROR


class Killed(Exception):
    """What stands for the death of a process."""


class Killer:
    """Kills whoever uses an engine at its n-th statement."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.at = 0

    def __call__(self, *_: Any) -> None:
        self.at -= 1
        if self.at == 0:
            raise Killed

    def until_done(self, work: Callable[[], Any], after: Callable[[], None]) -> int:
        """Do it again and again, killed one statement later each time; how often that was."""
        for times in range(1, 200):
            self.at = times
            sa.event.listen(self._engine, "before_cursor_execute", self)
            try:
                work()
            except Killed:
                continue
            finally:
                sa.event.remove(self._engine, "before_cursor_execute", self)
                after()
            return times
        raise AssertionError("it is never done")


def test_who_merges_may_be_killed_at_any_statement(engine: sa.Engine) -> None:
    records = some(30)
    for start in range(0, 30, 10):
        ledger.Ledger(engine).commit(records[start : start + 10])
    merger = rolling.Merger(engine)
    killed = Killer(engine).until_done(lambda: merger.merge(most_groups=20), lambda: adds_up(engine, records))
    assert killed > 5
    all_merged(engine)
    adds_up(engine, records)


def test_two_who_merge_at_once_merge_each_part_once(engine: sa.Engine, settings: settings_module.Settings) -> None:
    records = some(40)
    for start in range(0, 40, 10):
        ledger.Ledger(engine).commit(records[start : start + 10])
    second = database.open_database(settings.data)
    did = []

    def overtake(*arguments: Any) -> None:
        if arguments[2].startswith("UPDATE catalog") and not did:
            did.append(rolling.Merger(second).merge(most_groups=15))

    sa.event.listen(engine, "before_cursor_execute", overtake)
    assert rolling.Merger(engine).merge() == 0
    sa.event.remove(engine, "before_cursor_execute", overtake)
    assert did[0] > 0
    adds_up(engine, records)
    all_merged(engine)
    adds_up(engine, records)
    second.dispose()


def test_a_merge_between_two_reads_of_an_answer_changes_nothing(
    engine: sa.Engine, settings: settings_module.Settings
) -> None:
    records = some(50)
    ledger.Ledger(engine).commit(records)
    second, did = database.open_database(settings.data), []

    def merge(*arguments: Any) -> None:
        if "FROM rollup_parts" in arguments[2] and not did:
            did.append(rolling.Merger(second).merge())

    sa.event.listen(engine, "before_cursor_execute", merge)
    found = rollups.Rollups(engine).summary(0, FAR_MS, "all")
    sa.event.remove(engine, "before_cursor_execute", merge)
    assert did == [1]
    assert found == rollups.Rollups(engine).summary(0, FAR_MS, "all")
    same(found[0].figures, records)
    second.dispose()


def _made_old(engine: sa.Engine) -> None:
    """As a database is when it has just been migrated: records, and nothing of them in roll-ups."""
    with engine.begin() as connection:
        connection.execute(schema.records.update().values(is_rolled_up=None))
        connection.execute(schema.rollup_parts.delete())
        connection.execute(schema.rollups.delete())
        connection.execute(schema.rollup_state.insert().values(name="fill", value=""))


def test_records_of_before_are_added_once_beside_new_ones_and_through_any_death(engine: sa.Engine) -> None:
    book = ledger.Ledger(engine)
    old = some(25)
    old += [msgspec.structs.replace(each, attempt=2) for each in old[:9]]
    book.commit(old)
    _made_old(engine)
    new = some(20, seed=3)
    book.commit(new[:10])
    book.commit(old[:3])  # a recorder that finds one again
    merger = rolling.Merger(engine)

    def fill() -> None:
        while merger.fill(most_rows=7):
            pass

    Killer(engine).until_done(fill, lambda: None)
    assert not rollups.Rollups(engine).is_filling()
    book.commit(new[10:])
    adds_up(engine, old + new)
    all_merged(engine)
    assert not merger.fill()
    adds_up(engine, old + new)


def test_a_migrated_database_knows_whether_there_is_anything_to_add(settings: settings_module.Settings) -> None:
    url = settings.data.database_url or f"sqlite:///{settings.data.root / 'ledger.db'}"
    before = sa.create_engine(url)
    database._migrate(before, "0004")
    old = samples.ended(ended_at_ms=NOW_MS)
    row = {name: getattr(old, name) for name in ("invocation_id", "attempt", "function", "duration_us", "queue_ms")}
    row |= {"init_ms": 0, "ended_at_ms": old.ended_at_ms, "status": "ok", "cold_start": "none"}
    with before.begin() as connection:
        names = ", ".join(row)
        query = sa.text(f"INSERT INTO records ({names}, body) VALUES ({', '.join(f':{name}' for name in row)}, :body)")
        connection.execute(query, {**row, "body": msgspec.msgpack.encode(old)})
    before.dispose()
    engine = database.open_database(settings.data)
    assert rollups.Rollups(engine).is_filling()
    merger = rolling.Merger(engine)
    assert merger.fill()
    assert not merger.fill()
    adds_up(engine, [old])
    engine.dispose()


def test_a_new_database_has_nothing_to_add(engine: sa.Engine) -> None:
    assert not rollups.Rollups(engine).is_filling()
    assert not rolling.Merger(engine).fill()
    assert rolling.Merger(engine).merge() == 0
    assert rollups.Rollups(engine).summary(0, FAR_MS) == rollups.Rollups(engine).series(0, FAR_MS, HOUR) == []


def test_what_is_removed_by_the_minute_is_still_there_by_the_hour(engine: sa.Engine) -> None:
    records, merger = some(200), rolling.Merger(engine)
    ledger.Ledger(engine).commit(records)
    all_merged(engine)
    before_ms = NOW_MS // DAY * DAY - DAY
    while merger.drop(MINUTE, before_ms, 30).count:
        pass
    adds_up(engine, records)
    adds_up(engine, records, NOW_MS - 20 * MINUTE)
    book = rollups.Rollups(engine)
    assert book.times(before_ms - 1, FAR_MS, MINUTE).every_ms == HOUR
    assert book.times(before_ms, FAR_MS, MINUTE).every_ms == MINUTE
    assert book.times(before_ms - 30 * MINUTE, before_ms - 20 * MINUTE) == (before_ms - HOUR, before_ms, None)
    with engine.connect() as connection:
        first = connection.scalar(
            sa.select(sa.func.min(schema.rollups.c.at_ms)).where(schema.rollups.c.span_ms == MINUTE)
        )
    assert first >= before_ms
    # A clock that was set back, and a record that comes late: what is gone does not come back in part.
    merger.drop(MINUTE, before_ms - DAY, 30)
    late = samples.ended(ended_at_ms=before_ms - HOUR)
    ledger.Ledger(engine).commit([late])
    all_merged(engine)
    assert book.times(before_ms - 1, FAR_MS, MINUTE).every_ms == HOUR
    adds_up(engine, [*records, late])


def test_a_batch_of_ten_thousand_functions_is_merged(engine: sa.Engine) -> None:
    records = [samples.ended(invocation_id=ids.new_id(), function=f"f{n}", ended_at_ms=NOW_MS) for n in range(10_000)]
    ledger.Ledger(engine).commit(records)
    all_merged(engine)
    book = rollups.Rollups(engine)
    assert len(book.counts(NOW_MS - DAY, FAR_MS)) == 10_000
    (whole,) = book.summary(NOW_MS - DAY, FAR_MS, "all")
    same(whole.figures, records)


def test_figures_of_one_function_are_looked_up_and_not_searched_for(engine: sa.Engine) -> None:
    """However many functions there are. Without its hint SQLite reads the spans of all."""
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by its statistics")
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    sa.event.listen(engine, "before_cursor_execute", note)
    rollups.Rollups(engine).series(0, FAR_MS, HOUR, "status", "hello")
    sa.event.remove(engine, "before_cursor_execute", note)
    (statement,) = [each for each in asked if "FROM rollups" in each]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("a",) * statement.count("?")).all()
    assert "rollups_by_function (function=? AND span_ms=? AND at_ms>? AND at_ms<?)" in str(plan)
