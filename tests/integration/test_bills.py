"""Bills from a real database (`--database` chooses which): whatever they are by, their lines add up to the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from faas.core import model
from faas.core import settings as settings_module
from faas.core.money import comparing, tags
from faas.store import bills, database, functions, ledger, schema
from tests import samples

DAY_MS = 86_400_000
BYS: tuple[bills.By, ...] = ("function", "day", "trigger", "tag")
TAGS = {1: {}, 2: {"team": "shop"}, 3: {"team": "shop", "env": "prod"}, 4: {"env": "prod"}}


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    engine = database.open_database(settings.data)
    yield engine
    engine.dispose()


@pytest.fixture
def book(engine: sa.Engine) -> ledger.Ledger:
    return ledger.Ledger(engine)


def deploy(engine: sa.Engine, name: str, **config: Any) -> model.Revision:
    made = model.FunctionConfig(runtime="python3", handler="app.handler", **config)
    return functions.Functions(engine).add_revision(name, "0" * 64, made)


def records() -> st.SearchStrategy[list[model.Record]]:
    """Records of a few functions, days and revisions, of which some are billed nothing."""
    big = st.integers(0, 10**15)
    one = st.builds(
        samples.ended,
        function=st.sampled_from(["a", "b", "c"]),
        revision=st.integers(1, 4),
        trigger=st.sampled_from(["http", "timer"]),
        status=st.sampled_from(list(model.Status)),
        ended_at_ms=st.integers(0, 5 * DAY_MS),
        billed_ms=st.one_of(st.just(0), st.integers(0, 10**9)),
        memory_limit_mb=st.sampled_from([0, 64, 128, 10_240]),
        cost_pico=big,
        cpu_us=st.one_of(st.none(), big),
        root_id=st.sampled_from([None, "r1", "r2"]),
        logs=st.just(()),
    )
    return st.lists(one, max_size=30)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=records(), since_ms=st.integers(0, 5 * DAY_MS), until_ms=st.integers(0, 5 * DAY_MS))
def test_the_lines_of_every_bill_add_up_to_what_its_records_cost(
    engine: sa.Engine, batch: list[model.Record], since_ms: int, until_ms: int
) -> None:
    book = ledger.Ledger(engine)
    if functions.Functions(engine).get("a@1") is None:
        for name in ("a", "b", "c"):
            for number in TAGS:
                deploy(engine, name, tags=TAGS[number])
    book.commit(batch)
    # The database keeps what examples before this one committed, so all of it is what a bill is of.
    every = book.find(limit=10**6)
    first, last = since_ms // DAY_MS, max(until_ms - 1, 0) // DAY_MS
    among = [record for record in every if first <= record.ended_at_ms // DAY_MS <= last]
    for by in BYS:
        check(book.bill(since_ms, by, until_ms), among)
    for key in ("team", "env", "none"):
        lines = book.bill(since_ms, "tag", until_ms, key)
        check(lines, among)
        for line in lines:
            its = [record for record in among if TAGS[record.revision].get(key, "") == line.name]
            assert line.cost_pico == sum(record.cost_pico for record in its)


def check(lines: list[bills.BillLine], among: list[model.Record]) -> None:
    assert sum(line.count for line in lines) == len(among)
    assert sum(line.requests for line in lines) == sum(record.billed_ms > 0 for record in among)
    assert sum(line.billed_ms for line in lines) == sum(record.billed_ms for record in among)
    assert sum(line.cost_pico for line in lines) == sum(record.cost_pico for record in among)
    assert sum(line.cpu_us for line in lines) == sum(record.cpu_us or 0 for record in among)
    uses = [use for line in lines for use in line.uses]
    assert sum(use.memory_mb * use.billed_ms for use in uses) == sum(
        record.memory_limit_mb * record.billed_ms for record in among
    )
    assert [line.name for line in lines] == sorted({line.name for line in lines})


def test_the_last_day_is_the_one_before_which_a_bill_ends(book: ledger.Ledger) -> None:
    book.commit([samples.ended(ended_at_ms=day * DAY_MS + 5) for day in range(4)])
    assert [line.name for line in book.bill(DAY_MS, "day", 3 * DAY_MS)] == ["1970-01-02", "1970-01-03"]
    assert [line.name for line in book.bill(DAY_MS, "day", 3 * DAY_MS + 1)][-1] == "1970-01-04"
    assert book.bill(0, "day", 0) == book.bill(0, "day", 1)


def test_tags_are_those_that_the_revision_was_deployed_with(engine: sa.Engine, book: ledger.Ledger) -> None:
    catalog = functions.Functions(engine)
    first = deploy(engine, "hello", tags={"team": "shop"})
    second = deploy(engine, "hello", tags={"team": "web", "env": "prod"})
    catalog.activate([second], [])
    book.commit([samples.ended(revision=number, cost_pico=number) for number in (1, 2, 3)])
    assert {line.name: line.cost_pico for line in book.bill(0, "tag")} == {
        "": 3,
        "env=prod,team=web": 2,
        "team=shop": 1,
    }
    assert {line.name: line.cost_pico for line in book.bill(0, "tag", tag="team")} == {"": 3, "web": 2, "shop": 1}
    # A revision that is gone for good leaves its tags behind: no bill changes when it goes.
    catalog.discard([first.ref])
    catalog.remove("hello")
    assert {line.name: line.cost_pico for line in book.bill(0, "tag", tag="team")} == {"": 3, "web": 2, "shop": 1}


def test_tags_as_text_say_what_they_were_made_of() -> None:
    made = tags.text({"team": "shop", "env": "prod/eu"})
    assert made == "env=prod/eu,team=shop"
    assert [tags.value(made, key) for key in ("team", "env", "e", "")] == ["shop", "prod/eu", "", ""]
    assert tags.value(tags.text({}), "team") == ""


# -- chains


def chain(root: str, at_ms: int, members: int, **changes: Any) -> list[model.Record]:
    first = samples.ended(invocation_id=root, ended_at_ms=at_ms, cost_pico=1_000, object=f"photos/{root}", **changes)
    return [first] + [
        samples.ended(ended_at_ms=at_ms + n, root_id=root, parent_id=root, cost_pico=7, function="next")
        for n in range(members)
    ]


def test_what_one_event_cost_is_its_whole_chain(book: ledger.Ledger) -> None:
    book.commit([*chain("a", 100, 3), *chain("b", 200, 0, trigger="upload")])
    page = book.bill_of_chains(0, None, 10)
    assert [(line.name, line.count, line.cost_pico) for line in page.lines] == [("b", 1, 1_000), ("a", 4, 1_021)]
    assert (page.lines[0].object, page.lines[0].trigger, page.lines[0].function) == ("photos/b", "upload", "hello")
    assert page.next is None
    assert [line.name for line in book.bill_of_chains(101, None, 10).lines] == ["b"]
    assert [line.name for line in book.bill_of_chains(0, 200, 10).lines] == ["a"]


def test_a_root_that_was_tried_again_is_one_line(book: ledger.Ledger) -> None:
    tried = [samples.ended(invocation_id="a", attempt=n, ended_at_ms=100 + n, cost_pico=n) for n in (1, 2, 3)]
    book.commit(tried)
    assert [(line.count, line.cost_pico, line.ended_at_ms) for line in book.bill_of_chains(0, None, 10).lines] == [
        (3, 6, 103)
    ]


def test_pages_of_chains_have_every_chain_once(book: ledger.Ledger) -> None:
    made = [record for n in range(9) for record in chain(f"r{n}", 1_000 + n // 2, n)]
    again = [samples.ended(invocation_id="r4", attempt=2, ended_at_ms=1_003)]
    book.commit([*made, *again])
    seen: list[bills.RootLine] = []
    before = None
    while True:
        page = book.bill_of_chains(0, None, 2, before)
        seen += page.lines
        if page.next is None:
            break
        before = page.next
    assert sorted(line.name for line in seen) == [f"r{n}" for n in range(9)]
    assert sum(line.cost_pico for line in seen) == sum(record.cost_pico for record in (*made, *again))


def test_a_page_looks_through_no_more_than_so_many_records(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bills, "_LOOKED_THROUGH", 5)
    book.commit([*chain("a", 100, 0), *chain("b", 200, 20)])
    page = book.bill_of_chains(0, None, 10)
    assert page.lines == []
    assert page.next is not None
    names: list[str] = []
    while page.next is not None:
        page = book.bill_of_chains(0, None, 10, page.next)
        names += [line.name for line in page.lines]
    assert names == ["b", "a"]


def test_a_chain_without_end_is_cut_and_says_so(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bills, "_MOST_RECORDS", 4)
    book.commit([*chain("a", 100, 9), *chain("b", 90, 1), *chain("c", 80, 0)])
    page = book.bill_of_chains(0, None, 10)
    assert [(line.name, line.count, line.is_cut) for line in page.lines] == [("a", 4, True)]
    assert page.next is not None
    rest = book.bill_of_chains(0, None, 10, page.next)
    assert [(line.name, line.count, line.is_cut) for line in rest.lines] == [("b", 2, False), ("c", 1, False)]


def test_what_was_added_up_before_is_in_bills_and_in_no_comparison(settings: settings_module.Settings) -> None:
    """A ledger of the version before: its sums become lines, of a memory that nobody knows."""
    url = settings.data.database_url or f"sqlite:///{settings.data.root / 'ledger.db'}"
    before = sa.create_engine(url)
    database._migrate(before, "0008-1")  # the revision before the one that made sums for bills
    sums = {"duration_us": 1, "queue_ms": 1, "init_ms": 1, "cold_start": "none", "function": "a", "trigger": "http"}
    rows = [
        {"day": "1970-01-01", "status": "ok", "count": 3, "billed_ms": 30, "cost_pico": 5, **sums},
        {"day": "1970-01-01", "status": "timeout", "count": 2, "billed_ms": 20, "cost_pico": 4, **sums},
        {"day": "1970-01-01", "status": "lost", "count": 7, "billed_ms": 0, "cost_pico": 0, **sums},
        {"day": "1970-01-02", "status": "ok", "count": 1, "billed_ms": 10, "cost_pico": 3, **sums},
    ]
    with before.begin() as connection:
        connection.execute(schema.totals.insert(), rows)
    before.dispose()
    migrated = database.open_database(settings.data)
    try:
        book = ledger.Ledger(migrated)
        (line,) = book.bill(0, "function")
        days = [(each.name, each.cost_pico) for each in book.bill(0, "day")]
    finally:
        migrated.dispose()
    assert (line.name, line.count, line.requests, line.billed_ms, line.cost_pico) == ("a", 13, 6, 60, 12)
    assert line.uses == (comparing.MemoryUse(memory_mb=0, requests=6, billed_ms=60),)
    assert days == [("1970-01-01", 9), ("1970-01-02", 3)]
