"""What chains add up to in the ledger, held against their records, however these come."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest
import sqlalchemy as sa

from faas.core import ids, model
from faas.core import settings as settings_module
from faas.store import chains, database, ledger, removal, schema
from tests import samples


@pytest.fixture
def engine(settings: settings_module.Settings) -> Iterator[sa.Engine]:
    opened = database.open_database(settings.data)
    yield opened
    opened.dispose()


def some_chains(count: int, seed: int) -> list[model.Record]:
    """Chains of one to six invocations, some of them with several attempts, some of whose roots have no record."""
    chance = random.Random(seed)
    made: list[model.Record] = []
    for _ in range(count):
        links = [ids.new_id() for _ in range(chance.randrange(1, 7))]
        at_ms = chance.randrange(10**6)
        for depth, id in enumerate(links):
            if depth == 0 and len(links) > 3 and chance.random() < 0.3:
                continue
            attempts = chance.choice([1, 1, 1, 3])
            for attempt in range(1, attempts + 1):
                is_last = attempt == attempts
                made.append(
                    samples.ended(
                        invocation_id=id,
                        attempt=attempt,
                        function=f"f{depth}",
                        trigger="http" if depth == 0 else "upload",
                        object=None if depth == 0 else f"photos/{depth}",
                        status=chance.choice(list(model.Status)) if is_last else model.Status.ERROR,
                        final=is_last,
                        accepted_at_ms=at_ms,
                        ended_at_ms=at_ms + chance.randrange(1_000),
                        cost_pico=chance.randrange(10**9),
                        billed_ms=chance.randrange(100),
                        depth=depth,
                        parent_id=links[depth - 1] if depth else None,
                        root_id=links[0] if depth else None,
                    )
                )
            at_ms += chance.randrange(100)
    return made


def wanted(records: list[model.Record]) -> dict[str, tuple[object, ...]]:
    """What each chain of more than its first invocation adds up to."""
    of: dict[str, list[model.Record]] = {}
    for record in records:
        of.setdefault(record.root_id or record.invocation_id, []).append(record)
    found: dict[str, tuple[object, ...]] = {}
    for root_id, chain in of.items():
        if all(record.root_id is None for record in chain):
            continue
        roots = [record for record in chain if record.root_id is None]
        began, ended = min(r.accepted_at_ms for r in chain), max(r.ended_at_ms for r in chain)
        found[root_id] = (
            roots[0].function if roots else "",
            began,
            ended,
            ended - began,
            len({r.invocation_id for r in chain}),
            sum(r.billed_ms for r in chain),
            sum(r.cost_pico for r in chain),
            all(r.status is model.Status.OK for r in chain if r.final),
            not roots,
        )
    return found


def stored(engine: sa.Engine) -> dict[str, tuple[object, ...]]:
    return {
        chain.root_id: (
            chain.function, chain.began_at_ms, chain.ended_at_ms, chain.duration_ms, chain.count, chain.billed_ms,
            chain.cost_pico, chain.status == "ok", chain.is_open,
        )
        for chain in chains.Chains(engine).find(limit=100_000)
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 400])
def test_chains_add_up_in_whatever_order_and_however_often_their_records_come(engine: sa.Engine, size: int) -> None:
    made = some_chains(60, seed=size)
    chance = random.Random(size)
    mixed = chance.sample(made, len(made))
    book = ledger.Ledger(engine)
    for start in range(0, len(mixed), size):
        for _ in range(chance.choice([1, 1, 2])):
            book.commit(mixed[start : start + size])
    book.commit(chance.sample(made, len(made)))
    assert stored(engine) == wanted(made)


def test_where_many_chains_are_open_their_first_invocations_are_still_found(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "_MOST_OPEN", 3)
    made = some_chains(80, seed=3)
    book = ledger.Ledger(engine)
    later = [record for record in made if record.root_id is None]
    book.commit([record for record in made if record.root_id is not None])
    for record in later:
        book.commit([record])
    assert stored(engine) == wanted(made)


def test_a_chain_that_was_there_before_its_table_is_counted_whole_with_its_next_record(engine: sa.Engine) -> None:
    made = some_chains(20, seed=5)
    book = ledger.Ledger(engine)
    book.commit(made[:-1])
    with engine.begin() as connection:
        connection.execute(schema.chains.delete())
    book.commit(made[-1:])
    last = made[-1].root_id or made[-1].invocation_id
    assert stored(engine).get(last) == wanted(made).get(last)


def test_an_invocation_alone_is_no_chain(engine: sa.Engine) -> None:
    ledger.Ledger(engine).commit([samples.ended() for _ in range(5)])
    assert stored(engine) == {}


def test_the_slowest_costliest_and_latest_of_a_time_come_first(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, made = ledger.Ledger(engine), some_chains(100, seed=8)
    book.commit(made)
    reader = chains.Chains(engine)
    every = reader.find(limit=10_000)
    middle = sorted(chain.ended_at_ms for chain in every)[len(every) // 2]
    for deep in (20_000, 5):
        monkeypatch.setattr(chains, "_DEEP", deep)
        for order, figure in (("slowest", "duration_ms"), ("costliest", "cost_pico"), ("latest", "ended_at_ms")):
            for since_ms in (None, middle):
                found = reader.find(order, since_ms, 10)  # type: ignore[arg-type]
                fit = [chain for chain in every if since_ms is None or chain.ended_at_ms >= since_ms]
                values = sorted((getattr(chain, figure) for chain in fit), reverse=True)
                assert [getattr(chain, figure) for chain in found] == values[:10]


def test_the_records_of_a_chain_are_bounded(engine: sa.Engine) -> None:
    first = samples.ended()
    below = [samples.ended(root_id=first.invocation_id, parent_id=first.invocation_id) for _ in range(30)]
    ledger.Ledger(engine).commit([first, *below])
    reader = chains.Chains(engine)
    assert len(reader.records(first.invocation_id, 10)[0]) == 10
    assert sorted(map(msgspec.msgpack.encode, reader.records(first.invocation_id, 100)[0])) == sorted(
        msgspec.msgpack.encode(msgspec.structs.replace(record, logs=())) for record in (first, *below)
    )


def test_chains_go_when_their_time_has_come(engine: sa.Engine) -> None:
    made = some_chains(50, seed=9)
    ledger.Ledger(engine).commit(made)
    before = stored(engine)
    cut = sorted(row[2] for row in before.values())[len(before) // 2]
    removing = removal.Removal(engine)
    while removing.drop_chains(cut, 7).count:  # type: ignore[arg-type]
        pass
    assert stored(engine) == {root_id: row for root_id, row in before.items() if row[2] >= cut}  # type: ignore[operator]
