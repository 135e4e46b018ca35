"""The catalog: functions, their revisions and the buckets. A revision is pending until `activate` makes it current."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import errors, model
from faas.core.money import budgets, tags
from faas.core.values import numbers
from faas.store import alarm_changes, alarms, keep_rules, schema
from faas.store import budgets as reached_budgets

_R = schema.revisions
_F = schema.functions
# A revision that was discarded leaves its number behind: nodes know revisions by their number and never ask again.
_DISCARDED = ""
_IS_THERE = _R.c.artifact != _DISCARDED
_NAMES_AT_ONCE = 500
# Made here and not at the first use: msgspec 0.22 crashes when two threads are the first to decode a type at once.
_config = msgspec.json.Decoder(model.FunctionConfig).decode


class EndedFunction(msgspec.Struct, frozen=True):
    """What the end of a function made: the catalog's version, and the names of the alarms that went with it."""

    version: int
    alarms: tuple[str, ...]


class Functions:
    """Reads and changes the catalog; every change of what is current bumps the catalog's version."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add_revision(self, function: str, artifact: str, config: model.FunctionConfig) -> model.Revision:
        """Store the function's next revision; it serves nothing before `activate`."""
        return self.add_revisions([(function, artifact, config)])[0]

    def add_revisions(self, wanted: Sequence[tuple[str, str, model.FunctionConfig]]) -> list[model.Revision]:
        """Store the next revisions of different functions, each with its artifact, together or not at all."""
        names = [function for function, _, _ in wanted]
        with self._engine.begin() as connection:
            _lock(connection)
            last = _last_numbers(connection, names)
            now_ms = time.time_ns() // 1_000_000
            revisions = [
                model.Revision(
                    function=function,
                    number=last.get(function, 0) + 1,
                    artifact=artifact,
                    config=config,
                    created_at_ms=now_ms,
                )
                for function, artifact, config in wanted
            ]
            for some in _some(names):
                # Rows that only kept a number may go: the one that is added now has a higher one.
                connection.execute(_R.delete().where(_R.c.function.in_(some), ~_IS_THERE))
            if revisions:
                connection.execute(_R.insert(), [_row(revision) for revision in revisions])
            if tagged := [_tags(revision) for revision in revisions if revision.config.tags]:
                connection.execute(schema.revision_tags.insert(), tagged)
        return revisions

    def discard(self, refs: Collection[str]) -> None:
        """Forget revisions that are not current, but not their numbers.

        Raises `errors.Conflict` when one is current, and forgets none then.
        """
        named = [(ref, *_parse(ref)) for ref in refs]
        with self._engine.begin() as connection:
            _lock(connection)
            # All of them: a project is a good part of what there is, and a list of names has a bound in SQL.
            rows = connection.execute(sa.select(_F.c.name, _F.c.current)).all()
            current = {row[0]: row[1] for row in rows}
            # Forgotten, but not deleted: a number that came again would be another revision of the same name.
            for ref, name, number in named:
                if current.get(name) == number:
                    raise errors.Conflict(f"{ref} is the current revision", revision=ref)
                this = (_R.c.function == name, _R.c.number == number)
                connection.execute(_R.update().where(*this).values(artifact=_DISCARDED, config=b""))

    def activate(
        self,
        revisions: Sequence[model.Revision],
        buckets: Sequence[model.Bucket],
        changes: alarm_changes.AlarmChanges = alarm_changes.NONE,
    ) -> int:
        """Make all these revisions current and keep the buckets, together or not at all; the new catalog version.

        ``changes`` are those of the alarms.
        """
        with self._engine.begin() as connection:
            version = _bump(connection)
            alarm_changes.make(connection, changes)
            for some in _some([revision.function for revision in revisions]):
                # Not "insert or update", which SQLAlchemy has for each database apart.
                connection.execute(_F.delete().where(_F.c.name.in_(some)))
            for start in range(0, len(revisions), _NAMES_AT_ONCE):
                some_of_them = revisions[start : start + _NAMES_AT_ONCE]
                keep_rules.declare(connection, some_of_them, time.time_ns() // 1_000_000)
            rows = [{"name": revision.function, "current": revision.number} for revision in revisions]
            if rows:
                connection.execute(_F.insert(), rows)
            for bucket in buckets:
                connection.execute(schema.buckets.delete().where(schema.buckets.c.name == bucket.name))
                connection.execute(schema.buckets.insert().values(name=bucket.name, path=bucket.path))
        return version

    def current(self, name: str) -> model.Revision | None:
        """The revision that serves the function now."""
        found = self._read(_current().where(_F.c.name == name))
        return found[0] if found else None

    def get(self, ref: str) -> model.Revision | None:
        """A revision by its ``name@number``, pending ones too."""
        name, number = _parse(ref)
        found = self._read(sa.select(_R).where(_R.c.function == name, _R.c.number == number, _IS_THERE))
        return found[0] if found else None

    def list_current(self) -> list[model.Revision]:
        """What serves now, by name."""
        return self._read(_current().order_by(_F.c.name))

    def numbers(self) -> dict[str, int]:
        """The names of the functions that serve now, with the numbers of their revisions; no configuration is read."""
        with self._engine.connect() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(sa.select(_F.c.name, _F.c.current))}

    def names(self) -> list[str]:
        """The names of the functions that serve now."""
        with self._engine.connect() as connection:
            return list(connection.scalars(sa.select(_F.c.name).order_by(_F.c.name)))

    def revisions(self, *names: str) -> list[model.Revision]:
        """Every revision of some functions, by name, oldest first."""
        there = sa.select(_R).where(_IS_THERE).order_by(_R.c.function, _R.c.number)
        return [found for some in _some(names) for found in self._read(there.where(_R.c.function.in_(some)))]

    def last_numbers(self, names: Sequence[str]) -> dict[str, int]:
        """The highest number that a revision of each function ever had, discarded ones too, where there was one."""
        with self._engine.connect() as connection:
            return _last_numbers(connection, names)

    def remove(self, name: str) -> EndedFunction:
        """End a function; its revisions stay, so that numbers never repeat. Raises `errors.NotFound`."""
        with self._engine.begin() as connection:
            # First, as it takes the write lock.
            version = _bump(connection)
            if connection.execute(_F.delete().where(_F.c.name == name)).rowcount == 0:
                raise errors.NotFound(f"no function {name}", function=name)
            return EndedFunction(version, alarm_changes.end_of_function(connection, name))

    def catalog_version(self) -> int:
        """How many times the catalog has changed."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.select(schema.catalog.c.version)) or 0)

    def declared_alarms(self) -> tuple[alarms.Declared, ...]:
        """Every alarm, by name."""
        with self._engine.connect() as connection:
            return alarms.declared_in(connection)

    def buckets(self) -> list[model.Bucket]:
        """Every bucket, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(schema.buckets).order_by(schema.buckets.c.name)).all()
        return [model.Bucket(name=row.name, path=row.path) for row in rows]

    def stops(self) -> dict[str, budgets.BudgetStop]:
        """What may not run now since a budget is reached, by the name of its budget."""
        return reached_budgets.stops(self._engine, time.time_ns() // 1_000_000)

    def _read(self, query: sa.Select[tuple[object, ...]]) -> list[model.Revision]:
        with self._engine.connect() as connection:
            return [_revision(row) for row in connection.execute(query).all()]


def _last_numbers(connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
    query = sa.select(_R.c.function, sa.func.max(_R.c.number)).group_by(_R.c.function)
    found: dict[str, int] = {}
    for some in _some(names):
        found |= {row[0]: row[1] for row in connection.execute(query.where(_R.c.function.in_(some)))}
    return found


def _some(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names in parts that one statement takes."""
    for first in range(0, len(names), _NAMES_AT_ONCE):
        yield names[first : first + _NAMES_AT_ONCE]


def _row(revision: model.Revision) -> dict[str, object]:
    values = {name: getattr(revision, name) for name in ("function", "number", "artifact", "created_at_ms")}
    return {**values, "config": msgspec.json.encode(revision.config)}


def _tags(revision: model.Revision) -> dict[str, object]:
    """What bills know of a revision for good, also when it has been removed."""
    return {"function": revision.function, "number": revision.number, "tags": tags.text(revision.config.tags)}


def _current() -> sa.Select[tuple[object, ...]]:
    return sa.select(_R).join(_F, sa.and_(_F.c.name == _R.c.function, _F.c.current == _R.c.number))


def _revision(row: sa.Row[tuple[object, ...]]) -> model.Revision:
    return model.Revision(
        function=row.function,
        number=row.number,
        artifact=row.artifact,
        config=_config(row.config),
        created_at_ms=row.created_at_ms,
    )


def _parse(ref: str) -> tuple[str, int]:
    name, _, text = ref.rpartition("@")
    number = numbers.whole(text)
    if not name or number is None:
        raise errors.BadRequest(f"{ref[:80]!r} is no revision", hint="write it as name@3")
    return name, number


def _lock(connection: sa.Connection) -> None:
    # An update first takes the write lock on either database, so that what is read next cannot change.
    connection.execute(schema.catalog.update().values(version=schema.catalog.c.version))


def _bump(connection: sa.Connection) -> int:
    connection.execute(schema.catalog.update().values(version=schema.catalog.c.version + 1))
    return int(connection.scalar(sa.select(schema.catalog.c.version)) or 0)
