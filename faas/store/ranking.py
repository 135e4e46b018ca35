"""How long the slowest attempts of every function took, by which pages and `faas stats --slowest` put them in order.

Of ten thousand functions a month has some 300,000 rows. Their sketches take seconds to be unpacked and added up, so the
upper end of each stands in a column of its own (`faas.core.slowest`), and the database puts those of a function
together. Functions of which these do not tell, and lower ranks, are read through.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from faas.core import sketches, slowest
from faas.store import schema, spans, tallies

_U = schema.rollups
_FEW = 500
EVERYTHING = ""
"""The function of rows that all functions are added up in."""

Waiting = Sequence[tuple[str, tallies.Flat]]
"""Durations of functions that are in no row yet."""


def durations(
    connection: sa.Connection, pieces: Sequence[spans.Piece], per_mille: int, waiting: Waiting
) -> dict[str, int]:
    """The duration (µs) of each function at a rank."""
    if per_mille < slowest.LEAST_PER_MILLE:
        return _read_through(connection, pieces, per_mille, waiting, None)
    found = _by_upper_ends(connection, pieces, per_mille, waiting)
    known = {name: value for name, value in found.items() if value is not None}
    unknown = found.keys() - known.keys()
    return known | _read_through(connection, pieces, per_mille, waiting, unknown) if unknown else known


def within(query: sa.Select[Any], piece: spans.Piece) -> sa.Select[Any]:
    """What a query finds in rows of a piece of time."""
    return query.where(_U.c.span_ms == piece.span_ms, _U.c.at_ms >= piece.since_ms, _U.c.at_ms < piece.until_ms)


def _by_upper_ends(
    connection: sa.Connection, pieces: Sequence[spans.Piece], per_mille: int, waiting: Waiting
) -> dict[str, int | None]:
    records: dict[str, list[int]] = {}
    unknown: set[str] = set()
    for piece in pieces:
        for name, lacking, ends in connection.execute(_upper_ends(connection, piece)):
            records.setdefault(name, []).extend(slowest.unpacked(_bytes(ends)))
            if lacking:
                unknown.add(name)
    for name, flat in waiting:
        records.setdefault(name, []).extend(slowest.records_of(flat))
    return {name: None if name in unknown else slowest.quantile(its, per_mille) for name, its in records.items()}


def _upper_ends(connection: sa.Connection, piece: spans.Piece) -> sa.Select[Any]:
    """Of each function: how many rows have no upper end, and the others', one behind the other."""
    # SQLite joins no bytes, only text.
    ends: sa.ColumnElement[Any] = (
        sa.func.group_concat(sa.func.hex(_U.c.slowest), "")
        if connection.dialect.name == "sqlite"
        else sa.func.string_agg(_U.c.slowest, sa.literal(b""))
    )
    lacking = sa.func.sum(sa.case((_U.c.slowest.is_(None), 1), else_=0))
    query = within(sa.select(_U.c.function, lacking, ends), piece)
    return query.where(_U.c.function != EVERYTHING).group_by(_U.c.function)


def _bytes(ends: str | bytes | None) -> bytes:
    return bytes.fromhex(ends) if isinstance(ends, str) else ends or b""


def _read_through(
    connection: sa.Connection,
    pieces: Sequence[spans.Piece],
    per_mille: int,
    waiting: Waiting,
    names: Collection[str] | None,
) -> dict[str, int]:
    """The same by whole sketches; of some functions, or of all."""
    held: dict[str, sketches.Sketch] = {}
    query = sa.select(_U.c.function, _U.c.sketches).where(_U.c.function != EVERYTHING)
    # Of many all are read: to name each takes as long.
    query = query.where(_U.c.function.in_(sorted(names))) if names and len(names) <= _FEW else query
    for piece in pieces:
        for name, body in connection.execute(within(query, piece)):
            if names is None or name in names:
                sketches.add(held.setdefault(name, {}), tallies.durations(body))
    for name, flat in waiting:
        if names is None or name in names:
            sketches.add(held.setdefault(name, {}), flat)
    return {name: sketches.quantiles(sketch, [per_mille])[0] for name, sketch in held.items()}
