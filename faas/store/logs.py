"""Log lines of all attempts, read by function, invocation, time or text. `ledger.Ledger.commit` writes them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from faas.store import schema

_L = schema.logs


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line; ``id`` grows, so a follower asks for what is after the last one it has."""

    id: int
    at_ms: int
    function: str
    revision: int
    invocation_id: str
    attempt: int
    text: str


class Logs:
    """Reads log lines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def lines(
        self,
        function: str | None = None,
        invocation_id: str | None = None,
        since_ms: int | None = None,
        after_id: int | None = None,
        limit: int = 1000,
        search: str | None = None,
        until_ms: int | None = None,
        *,
        newest: bool = False,
    ) -> list[LogRow]:
        """The first ``limit`` lines that fit, or the last when ``newest``, in order.

        ``search`` is text that a line contains; ``since_ms`` and ``until_ms`` count as within. Very short lines, of
        which there were many, are kept several in a row and have one id: more may come then.
        """
        # By id and not by time: who follows asks for what came after the last line that he has.
        query = sa.select(_L).order_by(_L.c.id.desc() if newest else _L.c.id).limit(limit)
        if function is not None:
            query = query.where(_L.c.function == function)
        if invocation_id is not None:
            query = query.where(_L.c.invocation_id == invocation_id)
        if since_ms is not None:
            query = query.where(_L.c.at_ms >= since_ms)
        if until_ms is not None:
            query = query.where(_L.c.at_ms <= until_ms)
        if after_id is not None:
            query = query.where(_L.c.id > after_id)
        if search is not None:
            query = query.where(_L.c.text.contains(search, autoescape=True))
        with self._engine.connect() as connection:
            rows = [LogRow(**row) for row in connection.execute(query).mappings()]
        lines = [line for row in (rows[::-1] if newest else rows) for line in _each_line(row, search or "")]
        return lines[-limit:] if newest else lines

    def last_id(self) -> int:
        """The id of the newest line of all; 0 when there is none."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.max(_L.c.id))) or 0)


def _each_line(row: LogRow, search: str) -> Iterator[LogRow]:
    """The lines of a row; of those that are together in one, the ones that are looked for."""
    if "\n" not in row.text:
        yield row
        return
    for text in row.text.split("\n"):
        if search.lower() in text.lower():
            yield msgspec.structs.replace(row, text=text)
