"""What is kept of each function: counted where records are written, few where it is counted when somebody asks."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from faas.store import kept, schema

_F = schema.kept_by_function
_R = schema.revisions
_FEW = {kept.DEAD_LETTERS: schema.dead_letters, kept.UNDELIVERED: schema.undelivered}


class KindSum(msgspec.Struct, frozen=True):
    """How much of one kind: how many, and the bytes of bodies, texts and files where they are known."""

    count: int = 0
    bytes: int | None = None


class FunctionShare(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one function, by kind. ``figures`` is told of a function that is asked for alone."""

    name: str
    kinds: Mapping[str, KindSum]
    figures: int | None = None

    @property
    def bytes(self) -> int:
        """Of all kinds whose bytes are known."""
        return sum(each.bytes or 0 for each in self.kinds.values())


def read(
    engine: sa.Engine, size_of: Callable[[str], int], function: str | None = None, limit: int = 100, offset: int = 0
) -> tuple[int, list[FunctionShare]]:
    """How many functions keep something, and some of them, what keeps most bytes first.

    ``size_of`` gives the bytes of an artifact by its digest. One that several functions share counts for each.
    """
    with engine.connect() as connection:
        found = _counted(connection, function)
        for kind, table in _FEW.items():
            for name, count in connection.execute(_by_function(table, function)):
                found[name][kind] = KindSum(count)
        digests = _revisions(connection, function, found)
        names = sorted(found, key=lambda name: (-sum(each.bytes or 0 for each in found[name].values()), name))
        shown = names[offset : offset + limit]
        figures = _figures(connection, function) if function in found else None
    # Only of those that are shown: each size is a look at the disk.
    for name in shown:
        of_it = digests.get(name, ())
        found[name][kept.ARTIFACTS] = KindSum(len(of_it), sum(map(size_of, of_it)))
    return len(names), [FunctionShare(name=name, kinds=found[name], figures=figures) for name in shown]


def _counted(connection: sa.Connection, function: str | None) -> dict[str, dict[str, KindSum]]:
    query = sa.select(_F.c.kind, _F.c.function, _F.c.count, _F.c.bytes)
    if function is not None:
        query = query.where(_F.c.kind.in_(kept.COUNTED), _F.c.function == function)
    found: dict[str, dict[str, KindSum]] = collections.defaultdict(dict)
    for kind, name, count, size in connection.execute(query):
        found[name][kind] = KindSum(count, size)
    return found


def _by_function(table: sa.Table, function: str | None) -> sa.Select[Any]:
    query = sa.select(table.c.function, sa.func.count()).group_by(table.c.function)
    return query if function is None else query.where(table.c.function == function)


def _revisions(
    connection: sa.Connection, function: str | None, found: dict[str, dict[str, KindSum]]
) -> Mapping[str, set[str]]:
    """Count the revisions of functions; their artifacts by digest."""
    query = sa.select(_R.c.function, _R.c.artifact).where(_R.c.artifact != "")
    if function is not None:
        query = query.where(_R.c.function == function)
    counts: dict[str, int] = collections.Counter()
    digests: dict[str, set[str]] = collections.defaultdict(set)
    for name, digest in connection.execute(query):
        counts[name] += 1
        digests[name].add(digest)
    for name, count in counts.items():
        found[name][kept.REVISIONS] = KindSum(count)
    return digests


def _figures(connection: sa.Connection, function: str | None) -> int:
    """Rows of figures over time of one function: an index has them together."""
    query = sa.select(sa.func.count()).where(schema.rollups.c.function == function)
    return int(connection.scalar(query) or 0)
