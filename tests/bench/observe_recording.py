"""What figures, chains and bills cost whoever records: records a second with and without them.

With the merging that they entail. Nothing else is at work, and processor time is what counts.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from faas.core import clock, groups, ids, model
from faas.recorder import rolling_up
from faas.store import chains, database, rolling, writing
from tests import samples

WITH, WITHOUT = "with all of it", "without"
_BATCH = 2_000
_BATCHES = 110


class Case(NamedTuple):
    """Of how many functions the records are, and how many in a hundred belong to a chain."""

    functions: int
    in_chains: int = 0


CASES = {
    "recording, 5 functions": Case(5),
    "recording, 10,000 functions": Case(10_000),
    "recording, 30% in chains": Case(1_000, 30),
    "recording, 70% in chains": Case(1_000, 70),
}


class _NoChains(chains.ChainWriter):
    def write(self, connection: sa.Connection, records: Sequence[model.Record]) -> None:
        pass


class _Without(writing.BatchWriter):
    """Writes what there was before there were figures over time and chains."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._chains = _NoChains(engine.dialect)

    def _roll_up(self, connection: sa.Connection, groups: Sequence[writing.RecordGroup]) -> None:
        pass


def per_s(home: Path, case: Case, *, has_all: bool) -> float:
    """How fast batches are written to a ledger of their own, with what is merged meanwhile."""
    home.mkdir(parents=True)
    engine = database.open_database(groups.Data(data_dir=str(home)))
    writer = writing.BatchWriter(engine) if has_all else _Without(engine)
    merger, chance = rolling.Merger(engine), random.Random(1)
    made = [_batch(chance, case) for _ in range(_BATCHES)]

    def record() -> None:
        for batch in made:
            writer.write(batch, {})
            if has_all and rolling_up.is_due(merger.waiting(), 0):
                merger.merge(rolling_up.MOST_GROUPS)
        while has_all and merger.merge(rolling_up.MOST_GROUPS):
            pass

    # Whoever records never holds so many records at once: to go through them all again and again is none of its work.
    gc.collect()
    gc.freeze()
    began_s = time.process_time()
    record()
    took_s = time.process_time() - began_s
    gc.unfreeze()
    engine.dispose()
    return _BATCHES * _BATCH / took_s


def _batch(chance: random.Random, case: Case) -> list[writing.Packed]:
    records: list[model.Record] = []
    while len(records) < _BATCH:
        root = _record(chance, case.functions)
        records.append(root)
        # Two that belong together come at once, most often.
        if chance.randrange(200) < case.in_chains:
            child = _record(chance, case.functions)
            records.append(msgspec.structs.replace(child, root_id=root.invocation_id, parent_id=root.invocation_id))
    return [(record, msgspec.msgpack.encode(record)) for record in records[:_BATCH]]


def _record(chance: random.Random, functions: int) -> model.Record:
    return samples.ended(
        invocation_id=ids.new_id(), function=f"fn-{chance.randrange(functions):05d}", ended_at_ms=clock.now_ms(),
        duration_us=int(chance.lognormvariate(9, 1)), queue_ms=chance.randrange(20), logs=(),
    )  # fmt: skip
