"""Searching log lines: by what stands in them, within bounds, with and without the index; and what that costs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import strategies as st

from faas.core import model
from faas.core import settings as settings_module
from faas.core.logs import filters, log_lines
from faas.recorder import indexing
from faas.store import database, ledger, log_index, logs, schema
from tests import samples
from tests.eventually import eventually

Filter = filters.LogFilter
LAMBDA = "[{}]\t2026-11-29T10:00:00.000Z\tid\t{}"


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    engine = database.open_database(settings.data)
    yield engine
    engine.dispose()


def record(engine: sa.Engine, *texts: str, function: str = "f", at_ms: int = 1_000, **changes: object) -> model.Record:
    """An attempt that printed these lines, a millisecond apart."""
    lines = tuple(model.LogLine(at_ms + at, text) for at, text in enumerate(texts))
    made = samples.ended(function=function, logs=lines, ended_at_ms=at_ms, **changes)
    ledger.Ledger(engine).commit([made])
    return made


def found(engine: sa.Engine, wanted: filters.LogFilter, **how: object) -> list[str]:
    return [line.text for line in logs.Logs(engine).find(wanted, **how).lines]  # type: ignore[arg-type]


def indexed(engine: sa.Engine, segment_lines: int = log_index.SEGMENT_LINES, step: int = 1_000) -> log_index.LogIndex:
    """Bring the index of a ledger up to date; skip where there is none."""
    index = log_index.of(engine)
    if index is None:
        pytest.skip("PostgreSQL has indexes of its own")
    indexer = log_index.Indexer(Path(engine.url.database or ""), segment_lines)
    indexer.tidy(engine)
    while indexer.step(step) == step:
        pass
    return index


def test_lines_have_a_level_and_fields(engine: sa.Engine) -> None:
    record(engine, "plain", '{"level": "warn", "size": 7}', LAMBDA.format("ERROR", "no"))
    lines = logs.Logs(engine).find(Filter()).lines
    assert [(line.level, line.fields) for line in lines] == [
        (None, None),
        ("warning", {"level": "warn", "size": 7}),
        ("error", None),
    ]


def test_the_level_is_the_least_that_is_wanted(engine: sa.Engine) -> None:
    texts = [LAMBDA.format(name.upper(), name) for name in log_lines.LEVELS]
    record(engine, "plain", *texts)
    for name, number in log_lines.LEVELS.items():
        at = list(log_lines.LEVELS).index(name)
        assert found(engine, Filter(level=number)) == texts[at:]
        assert found(engine, Filter(level=number), newest=True, limit=1) == texts[-1:]


def test_errors_are_found_by_an_index_of_their_own(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("plans are SQLite's")
    with engine.connect() as connection:
        query = logs.query(Filter(level=40), schema.logs.c.id.between(1, 9), "sqlite", newest=True)
        text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    assert "logs_of_errors" in plan


def test_several_functions_statuses_and_conditions(engine: sa.Engine) -> None:
    record(engine, '{"n": 1}', function="a")
    record(engine, '{"n": 2}', function="b", status=model.Status.ERROR)
    record(engine, '{"n": 3}', function="c", status=model.Status.OOM)
    assert found(engine, Filter(functions=("a", "c"))) == ['{"n": 1}', '{"n": 3}']
    assert found(engine, Filter(statuses=("error", "oom"))) == ['{"n": 2}', '{"n": 3}']
    assert found(engine, Filter(where=filters.conditions(["n>1", "n<3"]))) == ['{"n": 2}']
    assert found(engine, Filter(functions=("a",), statuses=("oom",))) == []


def test_the_lines_of_a_chain_and_of_an_invocation(engine: sa.Engine) -> None:
    first = record(engine, "root")
    second = record(engine, "child", root_id=first.invocation_id)
    record(engine, "other")
    assert found(engine, Filter(root_id=first.invocation_id)) == ["root", "child"]
    assert found(engine, Filter(invocation_id=second.invocation_id)) == ["child"]


def test_an_invocation_with_more_lines_than_a_page_is_read_to_its_end(engine: sa.Engine) -> None:
    texts = [f"{number:03} {'x' * 200}" for number in range(50)]
    made = record(engine, *texts)
    record(engine, "of another one")
    for wanted in (Filter(invocation_id=made.invocation_id), Filter(root_id=made.invocation_id)):
        seen: list[str] = []
        at = logs.FoundLines(lines=(), reached_id=0)
        while len(at.lines) == 20 or not at.reached_id:
            at = logs.Logs(engine).find(wanted, after_id=at.reached_id, limit=20)
            seen += [line.text for line in at.lines]
        assert seen == texts


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("of", ["all", "text", "index", "invocation"])
def test_a_search_that_finds_much_is_cut_and_goes_on_without_gap(
    engine: sa.Engine, newest: bool, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 10_000)
    texts = [f"{number:03} needle {'x' * 1_000}" for number in range(50)]
    made = record(engine, *texts)
    if of == "index":
        indexed(engine)
    wanted = Filter(
        grep="needle" if of in ("text", "index") else None,
        invocation_id=made.invocation_id if of == "invocation" else None,
    )
    seen: list[str] = []
    place: dict[str, int] = {}
    is_cut = True
    while is_cut:
        at = logs.Logs(engine).find(wanted, newest=newest, **place)
        assert sum(len(line.text) for line in at.lines) < 12_000
        lines = [line.text for line in at.lines]
        seen = [*lines, *seen] if newest else [*seen, *lines]
        is_cut, place = at.is_cut, {"before_id" if newest else "after_id": at.reached_id}
    assert seen == texts


def test_paths_of_fields_count_as_what_is_found(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 20_000)
    leaves = ", ".join(f'"{number}": 1' for number in range(99))
    deep = "".join(f'{{"{"x" * 190}{level}": ' for level in range(7)) + f"{{{leaves}}}" + "}" * 7
    record(engine, deep, deep, deep)
    at = logs.Logs(engine).find(Filter())
    assert (len(deep) < 3_000, len(at.lines), at.is_cut) == (True, 1, True)


@pytest.mark.parametrize("with_index", [False, True])
def test_a_part_of_a_word_is_found_whatever_its_case(engine: sa.Engine, with_index: bool) -> None:
    record(engine, "It Timed Out", "100% of ten_percent", "größer ÄRGER", 'say "no"', "错误发生", "tab\tnul \0")
    if with_index:
        indexed(engine)
    for text, wanted in (
        ("timed o", ["It Timed Out"]), ("MED", ["It Timed Out"]), ("0% OF ten_", ["100% of ten_percent"]), ("t__", []),
        ("%", ["100% of ten_percent"]), ("ärger", ["größer ÄRGER"]), ("GRÖSSER", []), ("GRÖß", ["größer ÄRGER"]),
        ('y "no"', ['say "no"']), ("错误", ["错误发生"]), ("误发生", ["错误发生"]), ("tab\tn", ["tab\tnul \ufffd"]),
        ("nothing", []), ("o", ["It Timed Out", "100% of ten_percent", 'say "no"']),
    ):  # fmt: skip
        assert found(engine, Filter(grep=text)) == wanted, text


def test_the_index_finds_what_reading_finds_and_reads_what_is_not_indexed(engine: sa.Engine) -> None:
    for number in range(40):
        record(engine, f"line {number} abc", f'{{"number": {number}, "even": {str(number % 2 == 0).lower()}}}')
    index = indexed(engine, segment_lines=25, step=10)
    assert len(index.segments()) >= 3
    record(engine, "line 40 abc")
    everything = [f"line {number} abc" for number in range(41)]
    assert found(engine, Filter(grep="ABC")) == everything
    assert found(engine, Filter(grep="ABC"), newest=True, limit=3) == everything[-3:]
    odd = Filter(where=filters.conditions(["even=false", "number>30"]))
    assert found(engine, odd) == [f'{{"number": {number}, "even": false}}' for number in range(31, 40, 2)]
    assert found(engine, Filter(grep="line 7", functions=("none",))) == []


@hypothesis.settings(max_examples=30, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    texts=st.lists(st.text("abcAB \"'é{}\t%", min_size=1, max_size=12), min_size=1, max_size=20),
    needle=st.text("abcAB \"'é%", min_size=1, max_size=5),
    newest=st.booleans(),
    limit=st.integers(1, 5),
)
def test_a_search_with_the_index_finds_what_one_without_finds(
    engine: sa.Engine, texts: Sequence[str], needle: str, newest: bool, limit: int
) -> None:
    first = logs.Logs(engine).last_id()
    record(engine, *texts)
    indexed(engine, segment_lines=15, step=7)
    fitting = [text for text in texts if needle.lower() in text.lower()]
    some = fitting[-limit:] if newest else fitting[:limit]
    assert found(engine, Filter(grep=needle), after_id=first, newest=newest, limit=limit) == some


def test_a_search_whose_time_is_up_says_how_far_it_came_and_goes_on_from_there(engine: sa.Engine) -> None:
    record(engine, *[f"line {number}" for number in range(30_000)])
    store, wanted = logs.Logs(engine), Filter(grep="line 7")
    came = store.find(wanted, newest=True, limit=100_000, within_s=0)
    assert came.is_cut
    assert came.reached_ms is not None
    pages, cuts = [came], 0
    while pages[-1].is_cut:
        cuts += 1
        pages.append(store.find(wanted, newest=True, before_id=pages[-1].reached_id, limit=100_000, within_s=0))
    assert cuts >= 1
    assert [line.text for page in reversed(pages) for line in page.lines] == [
        f"line {number}" for number in range(30_000) if str(number).startswith("7")
    ]
    ahead = [store.find(wanted, limit=100_000, within_s=0)]
    while ahead[-1].is_cut:
        ahead.append(store.find(wanted, after_id=ahead[-1].reached_id, limit=100_000, within_s=0))
    assert [line.text for page in ahead for line in page.lines] == [
        line.text for page in reversed(pages) for line in page.lines
    ]


def test_times_are_found_also_of_attempts_that_ended_long_after_they_printed(engine: sa.Engine) -> None:
    record(engine, "old", at_ms=1_000)
    record(engine, "later", at_ms=900_000)
    record(engine, "printed before, recorded after", at_ms=2_000)
    assert found(engine, Filter(until_ms=10_000)) == ["old", "printed before, recorded after"]
    assert found(engine, Filter(since_ms=1_500, until_ms=10_000)) == ["printed before, recorded after"]
    assert found(engine, Filter(since_ms=900_000)) == ["later"]
    assert found(engine, Filter(since_ms=900_001)) == []


def test_lines_that_were_recorded_late_are_found_by_when_they_were_printed(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_NEAR", 3)
    for at_ms in (9_000, 9_000, 9_000, 9_000, 900_000, 900_000, 900_000):
        record(engine, str(at_ms), at_ms=at_ms)
    record(engine, "late", at_ms=2_000)
    assert found(engine, Filter(until_ms=10_000))[-1] == "late"
    assert found(engine, Filter(since_ms=900_000)) == ["900000"] * 3


def test_an_index_of_other_lines_is_not_believed_and_made_anew(engine: sa.Engine) -> None:
    record(engine, *[f"before {number}" for number in range(20)])
    indexed(engine)
    with engine.begin() as connection:
        connection.execute(schema.logs.delete())
    record(engine, *[f"after {number}" for number in range(30)])  # SQLite gives the ids anew
    assert len(found(engine, Filter(grep="after"))) == 30
    indexed(engine)
    assert len(found(engine, Filter(grep="after"))) == 30
    assert found(engine, Filter(grep="before")) == []


def test_a_damaged_index_costs_no_line(engine: sa.Engine) -> None:
    record(engine, *[f"line {number} abc" for number in range(3_000)])
    index = indexed(engine, segment_lines=1_000, step=500)
    middle = index.segments()[1].path
    with sqlite3.connect(middle) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(middle.read_bytes())
    data[4096 * 3 :] = b"\xff" * (len(data) - 4096 * 3)
    middle.write_bytes(data)
    assert len(found(engine, Filter(grep="abc"), limit=10_000)) == 3_000
    index.segments()[0].path.unlink()
    index.segments()[-1].path.write_bytes(b"no database")
    assert len(found(engine, Filter(grep="abc"), limit=10_000)) == 3_000
    indexed(engine, segment_lines=1_000, step=500)
    assert len(found(engine, Filter(grep="abc"), limit=10_000)) == 3_000


def test_segments_of_which_no_line_is_left_go(engine: sa.Engine) -> None:
    record(engine, *[f"line {number}" for number in range(100)])
    index = indexed(engine, segment_lines=20, step=10)
    before = len(index.segments())
    with engine.begin() as connection:
        connection.execute(schema.logs.delete().where(schema.logs.c.id <= 50))
    indexed(engine, segment_lines=20, step=10)
    assert len(index.segments()) == before - 2
    assert len(found(engine, Filter(grep="line"))) == 50


def test_a_row_of_several_lines_gives_those_that_fit(engine: sa.Engine) -> None:
    record(engine, "one\n[ERROR]\ttwo\nthree", "ERROR:root:four")
    assert found(engine, Filter(level=40)) == ["[ERROR]\ttwo", "ERROR:root:four"]
    assert found(engine, Filter(grep="T")) == ["[ERROR]\ttwo", "three", "ERROR:root:four"]


async def test_lines_are_indexed_soon_after_they_were_recorded_by_one_at_a_time(
    engine: sa.Engine, settings: settings_module.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = log_index.of(engine)
    if index is None:
        pytest.skip("PostgreSQL has indexes of its own")
    monkeypatch.setattr(indexing, "_LOOK_EVERY_S", 0.05)
    record(engine, *[f"line {number}" for number in range(1_500)])
    stop = asyncio.Event()
    tasks = [asyncio.create_task(indexing.run(settings.data, stop)) for _ in range(2)]
    try:
        await eventually(lambda: [each.about.lines for each in index.segments()] == [1_500])
        record(engine, "one more")
        await eventually(lambda: [each.about.lines for each in index.segments()] == [1_501])
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    assert found(engine, Filter(grep="one more")) == ["one more"]


def test_a_step_of_the_index_has_as_many_lines_as_fit_into_its_time() -> None:
    assert indexing.next_lines(1_000, 0.01) == 2_000
    assert indexing.next_lines(1_000, 0.07) == 1_000
    assert indexing.next_lines(1_000, 1.0) == 500
    assert indexing.next_lines(20_000, 0.01) == 20_000
    assert indexing.next_lines(1, 9.0) == 1
