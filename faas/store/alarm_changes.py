"""What changes which alarms there are: a deploy, the end of a function, the platform's own file."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import alarms, schema


class AlarmChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms to declare, and the names of those to remove."""

    declared: tuple[alarms.Declared, ...] = ()
    removed: tuple[str, ...] = ()


NONE = AlarmChanges()


def make(connection: sa.Connection, changes: AlarmChanges) -> None:
    """Make changes, as part of a transaction."""
    if changes == NONE:
        return
    alarms.changed(connection)
    alarms.forget(connection, changes.removed)
    alarms.declare(connection, changes.declared)


def end_of_function(connection: sa.Connection, function: str) -> None:
    """Remove the alarms of a function that has ended, and those of manifests of which no function is left."""
    gone = without(alarms.declared_in(connection), set(connection.scalars(sa.select(schema.functions.c.name))))
    own = schema.alarm_states.c.function == function
    if gone or connection.execute(sa.select(schema.alarm_states.c.alarm).where(own).limit(1)).first():
        alarms.changed(connection)
        alarms.forget(connection, gone)
        connection.execute(schema.alarm_states.delete().where(own))


def without(declared: Sequence[alarms.Declared], serving: Collection[str]) -> list[str]:
    """The alarms of which nothing is left: their function has ended, or every one of their manifest."""
    return [
        each.alarm.name for each in declared if each.kind is not alarms.AlarmKind.PLATFORM and _is_over(each, serving)
    ]


def _is_over(declared: alarms.Declared, serving: Collection[str]) -> bool:
    alarm = declared.alarm
    if alarm.function is not None:
        return alarm.function not in serving
    return not any(name in serving for name in alarm.functions)


def of_platform(engine: sa.Engine, found: Sequence[model.Alarm], file: alarms.PlatformFile, at_ms: int) -> list[str]:
    """Let these be the platform's own alarms; the names of those that are left out, as a manifest has them."""
    with engine.begin() as connection:
        alarms.changed(connection)
        before = alarms.declared_in(connection)
        taken = {each.alarm.name for each in before if each.kind is not alarms.AlarmKind.PLATFORM}
        names = {alarm.name for alarm in found}
        own = [each.alarm.name for each in before if each.kind is alarms.AlarmKind.PLATFORM]
        alarms.forget(connection, [name for name in own if name not in names])
        fitting = [alarm for alarm in found if alarm.name not in taken]
        kind = alarms.AlarmKind.PLATFORM
        alarms.declare(connection, [alarms.Declared(alarm=alarm, kind=kind, declared_at_ms=at_ms) for alarm in fitting])
        alarms.kept_file(connection, file)
    return sorted(names & taken)


def refuse_file(engine: sa.Engine, file: alarms.PlatformFile) -> None:
    """Note what is wrong with the platform's own file; its alarms are what they were."""
    with engine.begin() as connection:
        alarms.kept_file(connection, file)
