"""What changes which alarms there are: a deploy, the end of a function, the platform's own file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.store import alarms, schema

_A = schema.alarms
_S = schema.alarm_states
_Q = schema.alarm_silences
_N = schema.alarm_rounds

_encode = msgspec.json.Encoder().encode


class AlarmChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms to declare, and the names of those to remove."""

    declared: tuple[alarms.Declared, ...] = ()
    removed: tuple[str, ...] = ()


NONE = AlarmChanges()


def make(connection: sa.Connection, changes: AlarmChanges) -> None:
    """Make changes, as part of a transaction."""
    if changes == NONE:
        return
    _changed(connection)
    _forget(connection, changes.removed)
    _declare(connection, changes.declared)


def end_of_function(connection: sa.Connection, function: str) -> tuple[str, ...]:
    """Remove the alarms of a function that has ended, and those of manifests of which no function is left; which."""
    gone = without(alarms.declared_in(connection), set(connection.scalars(sa.select(schema.functions.c.name))))
    own = schema.alarm_states.c.function == function
    if gone or connection.execute(sa.select(schema.alarm_states.c.alarm).where(own).limit(1)).first():
        _changed(connection)
        _forget(connection, gone)
        connection.execute(schema.alarm_states.delete().where(own))
    return tuple(gone)


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
        _changed(connection)
        before = alarms.declared_in(connection)
        taken = {each.alarm.name for each in before if each.kind is not alarms.AlarmKind.PLATFORM}
        names = {alarm.name for alarm in found}
        own = [each.alarm.name for each in before if each.kind is alarms.AlarmKind.PLATFORM]
        _forget(connection, [name for name in own if name not in names])
        fitting = [alarm for alarm in found if alarm.name not in taken]
        kind = alarms.AlarmKind.PLATFORM
        _declare(connection, [alarms.Declared(alarm=alarm, kind=kind, declared_at_ms=at_ms) for alarm in fitting])
        _keep_file(connection, file)
    return sorted(names & taken)


def refuse_file(engine: sa.Engine, file: alarms.PlatformFile) -> None:
    """Note what is wrong with the platform's own file; its alarms are what they were."""
    with engine.begin() as connection:
        _keep_file(connection, file)


def _changed(connection: sa.Connection) -> None:
    """Say that alarms are declared anew: a look that began before does not count. It takes the write lock, too."""
    connection.execute(_N.update().values(serial=_N.c.serial + 1))


def _forget(connection: sa.Connection, names: Sequence[str]) -> None:
    """Remove alarms with all that is known of how they stand; their history stays for its time."""
    for name in names:
        for table in (_S, _Q):
            connection.execute(table.delete().where(table.c.alarm == name))
        connection.execute(_A.delete().where(_A.c.name == name))


def _declare(connection: sa.Connection, declared: Iterable[alarms.Declared]) -> None:
    """Put alarms in place of those of their names. One whose condition is another one now begins from the start."""
    before = {each.alarm.name: each.alarm for each in alarms.declared_in(connection)}
    for each in declared:
        alarm = each.alarm
        if alarm.name in before and not _is_same_condition(before[alarm.name], alarm):
            connection.execute(_S.delete().where(_S.c.alarm == alarm.name))
        connection.execute(_A.delete().where(_A.c.name == alarm.name))
        row = {"name": alarm.name, "kind": each.kind.value, "function": alarm.function or "", "body": _encode(alarm)}
        connection.execute(_A.insert().values(**row, revision=each.revision, declared_at_ms=each.declared_at_ms))


def _is_same_condition(one: model.Alarm, other: model.Alarm) -> bool:
    return (one.rule, one.function, one.functions, one.each) == (
        other.rule,
        other.function,
        other.functions,
        other.each,
    )


def _keep_file(connection: sa.Connection, found: alarms.PlatformFile) -> None:
    """Note of which file the platform's own alarms are now."""
    values = {"file_origin": found.origin, "file_digest": found.digest, "file_fault": found.fault[:4_000]}
    connection.execute(_N.update().values(**values))
