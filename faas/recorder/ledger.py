"""The ledger as a sink: what bills, statistics and `faas invocations` read. No record leaves Redis without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from faas.core import errors, groups, model
from faas.queue import batches
from faas.store import database
from faas.store import ledger as ledgers

OnCommitted = Callable[[Sequence[model.Record]], None]


class LedgerSink:
    """Writes each batch to SQL in one transaction. The primary key (invocation, attempt) makes replays harmless."""

    name = "ledger"
    may_miss = False

    def __init__(self, data: groups.Data, on_committed: OnCommitted | None = None) -> None:
        """``on_committed`` is told the records of each batch when they are written; of some twice, after a crash."""
        self._data = data
        self._on_committed = on_committed
        self._engine: sa.Engine | None = None
        self._book: ledgers.Ledger | None = None

    def open(self) -> None:
        """See `port.Sink.open`."""
        self.close()
        self._engine = database.open_database(self._data)
        self._book = ledgers.Ledger(self._engine)

    def commit(self, batch: batches.Batch) -> None:
        """See `port.Sink.commit`."""
        if self._book is None:
            raise errors.Unavailable("the ledger is not open")
        try:
            self._book.commit(batch.records, batch.packed, batch.letters, batch.printed)
        except sa.exc.DBAPIError as error:
            raise errors.Unavailable(f"the ledger takes no records: {error}") from error
        if self._on_committed is not None:
            self._on_committed(batch.records)

    def close(self) -> None:
        """See `port.Sink.close`."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._book = None
