"""Alarms in SQL: what is declared, how each stands, what came to pass, and who is still to be told.

A look at the alarms is read in one transaction (`BegunLook`) and written in another (`LookOutcome`), which changes
nothing unless no other look was written in between and nothing was declared anew. So however many schedulers look, and
wherever one of them dies, each look counts once: with it go the messages that it makes, which stay until they were
posted.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa

from faas.core import durations, model
from faas.store import schema

_A = schema.alarms
_S = schema.alarm_states
_Q = schema.alarm_silences
_H = schema.alarm_history
_M = schema.alarm_messages
_N = schema.alarm_rounds

# Made here and not at the first use: msgspec 0.22 crashes when two threads are the first to decode a type at once.
_alarm = msgspec.json.Decoder(model.Alarm).decode
_destination = msgspec.json.Decoder(model.Notify).decode
_encode = msgspec.json.Encoder().encode

Key = tuple[str, str]
"""An alarm and the function that it stands so for; "" for the platform, or several together."""


class AlarmKind(enum.StrEnum):
    """Where an alarm was declared: in the block of a function, for a whole manifest, or in the platform's own file."""

    FUNCTION = "function"
    PROJECT = "project"
    PLATFORM = "platform"


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm with where and when it was declared, and by which revision of its function."""

    alarm: model.Alarm
    kind: AlarmKind
    declared_at_ms: int
    revision: int | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one alarm stands, for one function or all, as of ``at_ms``.

    ``since_ms`` is when it came to that state, ``clear_since_ms`` since when one that fires has been over, and
    ``told_at_ms`` when it was last told that it fires; both 0 for not at all. ``value`` is in the steps of the figure's
    unit, None for a fact or where there is none; ``text`` says it to people.
    """

    alarm: str
    function: str = ""
    state: model.AlarmState = model.AlarmState.OK
    since_ms: int = 0
    at_ms: int = 0
    clear_since_ms: int = 0
    told_at_ms: int = 0
    value: float | None = None
    text: str = ""

    @property
    def key(self) -> Key:
        """Whose it is."""
        return self.alarm, self.function


class AlarmEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that came to pass with an alarm. ``was`` and ``became`` are equal when it was silenced or not."""

    alarm: str
    function: str
    at_ms: int
    was: model.AlarmState
    became: model.AlarmState
    value: float | None
    text: str


class AlarmMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told, to one place of several. The ``id`` is the same for all of them and whoever makes it."""

    id: str
    place: int
    to: model.Notify
    body: bytes


class BegunLook(msgspec.Struct, frozen=True, kw_only=True):
    """All that a look begins with. ``slot`` is the interval of the last look, ``functions`` who serves now.

    Without alarms that are on each function ``functions`` is left empty.
    """

    serial: int
    slot: int
    declared: tuple[Declared, ...] = ()
    standings: Mapping[Key, Standing] = {}
    silences: Mapping[Key, int] = {}
    functions: frozenset[str] = frozenset()


class LookOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that a look ends with: standings to put in place of what was there or to forget, events, messages."""

    standings: tuple[Standing, ...] = ()
    gone: tuple[Key, ...] = ()
    events: tuple[AlarmEvent, ...] = ()
    messages: tuple[AlarmMessage, ...] = ()


class PlatformFile(msgspec.Struct, frozen=True, kw_only=True):
    """Whose file the platform's own alarms come from, its digest, and what is wrong with it as it is now."""

    origin: str = ""
    digest: str = ""
    fault: str = ""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """When alarms were last looked at (0 for never), and their file."""

    looked_at_ms: int
    file: PlatformFile


class Alarms:
    """Reads and writes them. Everything raises `errors.Unavailable` while the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def last(self) -> tuple[int, int]:
        """The serial and the slot of the last look: what is asked of a database that there may be no work in."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_N.c.serial, _N.c.slot)).one()
        return int(row.serial), int(row.slot)

    def begin(self) -> BegunLook:
        """What a look begins with."""
        with self._engine.connect() as connection:
            # First: a look that is written after this and before the rest makes this one's writing fail.
            row = connection.execute(sa.select(_N.c.serial, _N.c.slot)).one()
            declared = declared_in(connection)
            named = sa.select(schema.functions.c.name)
            # Names are read only where they matter: there may be ten thousand.
            is_each = any(each.alarm.each for each in declared)
            return BegunLook(
                serial=int(row.serial),
                slot=int(row.slot),
                declared=declared,
                standings={each.key: each for each in _standings(connection, sa.select(_S))},
                silences=_silences(connection),
                functions=frozenset(connection.scalars(named)) if is_each else frozenset(),
            )

    def commit(self, begun: BegunLook, slot: int, at_ms: int, outcome: LookOutcome) -> bool:
        """End a look, whole or not at all; False, and nothing is changed, when another came first."""
        with self._engine.begin() as connection:
            this = (_N.c.id == 1, _N.c.serial == begun.serial)
            # The serial says that nobody looked in between; without a lock, several schedulers look, and one writes.
            taken = connection.execute(_N.update().where(*this).values(serial=begun.serial + 1, slot=slot, at_ms=at_ms))
            if taken.rowcount != 1:
                return False
            _put(connection, outcome)
            connection.execute(_Q.delete().where(_Q.c.until_ms <= at_ms))
        return True

    def messages(self, most: int) -> list[AlarmMessage]:
        """What is still to be told, the oldest first."""
        query = sa.select(_M).order_by(_M.c.id, _M.c.place).limit(most)
        with self._engine.connect() as connection:
            return [
                AlarmMessage(id=row.id, place=row.place, to=_destination(row.destination), body=row.body)
                for row in connection.execute(query)
            ]

    def told(self, message: AlarmMessage) -> None:
        """Forget a message that was posted."""
        with self._engine.begin() as connection:
            connection.execute(_M.delete().where(_M.c.id == message.id, _M.c.place == message.place))

    def declared(self) -> tuple[Declared, ...]:
        """Every alarm, by name."""
        with self._engine.connect() as connection:
            return declared_in(connection)

    def get(self, name: str) -> Declared | None:
        """One alarm."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_A).where(_A.c.name == name)).first()
        return None if row is None else _of_row(row)

    def standings(self, alarm: str | None = None) -> list[Standing]:
        """How all alarms stand, or one, by name and function. One that was never looked at has none."""
        query = sa.select(_S).order_by(_S.c.alarm, _S.c.function)
        with self._engine.connect() as connection:
            return _standings(connection, query if alarm is None else query.where(_S.c.alarm == alarm))

    def silences(self) -> Mapping[Key, int]:
        """Until when which alarms are silent."""
        with self._engine.connect() as connection:
            return _silences(connection)

    def silence(self, key: Key, until_ms: int | None, at_ms: int) -> None:
        """Let an alarm tell nobody until then; None ends that. With an empty function it is all of the alarm."""
        alarm, function = key
        # One function's silence may last longer than that of all; who ends that of all means each.
        is_all = until_ms is None and not function
        this = (_Q.c.alarm == alarm,) if is_all else (_Q.c.alarm == alarm, _Q.c.function == function)
        with self._engine.begin() as connection:
            connection.execute(_Q.delete().where(*this))
            if until_ms is not None:
                connection.execute(_Q.insert().values(alarm=alarm, function=function, until_ms=until_ms))
            _note(
                connection,
                key,
                at_ms,
                "told again" if until_ms is None else f"silent for {durations.written(until_ms - at_ms)}",
            )

    def history(self, alarm: str, most: int, before: int | None = None) -> list[tuple[int, AlarmEvent]]:
        """What came to pass with an alarm, the newest first, each with its number; those older than ``before``."""
        query = sa.select(_H).where(_H.c.alarm == alarm).order_by(_H.c.id.desc()).limit(most)
        if before is not None:
            query = query.where(_H.c.id < before)
        with self._engine.connect() as connection:
            return [(int(row.id), _event(row)) for row in connection.execute(query)]

    def last_event(self) -> int:
        """The number of the last thing that came to pass with any alarm."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.max(_H.c.id))) or 0)

    def events_after(self, number: int, most: int) -> list[tuple[int, AlarmEvent]]:
        """What came to pass with any alarm after that one, the oldest first, each with its number."""
        query = sa.select(_H).where(_H.c.id > number).order_by(_H.c.id).limit(most)
        with self._engine.connect() as connection:
            return [(int(row.id), _event(row)) for row in connection.execute(query)]

    def forget_history(self, before_ms: int, most: int) -> int:
        """Remove some of what came to pass before; how much that was."""
        old = sa.select(_H.c.id).where(_H.c.at_ms < before_ms).limit(most)
        with self._engine.begin() as connection:
            return connection.execute(_H.delete().where(_H.c.id.in_(old))).rowcount

    def counts(self) -> dict[str, int]:
        """How many alarms are in each state; one that was never looked at is counted as ok."""
        found = dict.fromkeys((each.value for each in model.AlarmState), 0)
        unseen = sa.select(sa.func.count()).select_from(_A).where(~sa.exists().where(_S.c.alarm == _A.c.name))
        with self._engine.connect() as connection:
            for state, count in connection.execute(sa.select(_S.c.state, sa.func.count()).group_by(_S.c.state)):
                found[state] = int(count)
            found[model.AlarmState.OK.value] += int(connection.scalar(unseen) or 0)
        return found

    def firing(self) -> dict[str, int]:
        """How many alarms of each function fire now; "" is those of several, or of the platform."""
        fires = _S.c.state == model.AlarmState.FIRING.value
        query = sa.select(_S.c.function, sa.func.count()).where(fires).group_by(_S.c.function)
        with self._engine.connect() as connection:
            return {function: int(count) for function, count in connection.execute(query)}

    def watch(self) -> Watch:
        """Whether alarms are looked at, and what is known of the platform's own file of them."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_N)).one()
        file = PlatformFile(origin=row.file_origin, digest=row.file_digest, fault=row.file_fault)
        return Watch(looked_at_ms=int(row.at_ms), file=file)


def declared_in(connection: sa.Connection) -> tuple[Declared, ...]:
    """Every alarm, by name."""
    return tuple(_of_row(row) for row in connection.execute(sa.select(_A).order_by(_A.c.name)))


def _of_row(row: sa.Row[tuple[object, ...]]) -> Declared:
    return Declared(
        alarm=_alarm(row.body), kind=AlarmKind(row.kind), declared_at_ms=row.declared_at_ms, revision=row.revision
    )


def _standings(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Standing]:
    found = (row._asdict() for row in connection.execute(query))
    return [Standing(**{**values, "state": model.AlarmState(values["state"])}) for values in found]


def _silences(connection: sa.Connection) -> dict[Key, int]:
    return {(row.alarm, row.function): int(row.until_ms) for row in connection.execute(sa.select(_Q))}


def _event(row: sa.Row[tuple[object, ...]]) -> AlarmEvent:
    return AlarmEvent(
        alarm=row.alarm,
        function=row.function,
        at_ms=row.at_ms,
        was=model.AlarmState(row.was),
        became=model.AlarmState(row.became),
        value=row.value,
        text=row.text,
    )


def _put(connection: sa.Connection, outcome: LookOutcome) -> None:
    keys = [*outcome.gone, *(each.key for each in outcome.standings)]
    this = (_S.c.alarm == sa.bindparam("of_alarm"), _S.c.function == sa.bindparam("of_function"))
    # Deleted and put in anew, as "insert or update" is another statement for each database.
    if keys:
        connection.execute(_S.delete().where(*this), [{"of_alarm": key[0], "of_function": key[1]} for key in keys])
    _insert(connection, _S, (msgspec.structs.asdict(each) for each in outcome.standings))
    _insert(connection, _H, (msgspec.structs.asdict(each) for each in outcome.events))
    _insert(connection, _M, (_message(each) for each in outcome.messages))


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, object]]) -> None:
    if found := list(rows):
        connection.execute(table.insert(), found)


def _message(message: AlarmMessage) -> dict[str, object]:
    return {"id": message.id, "place": message.place, "destination": _encode(message.to), "body": message.body}


def _note(connection: sa.Connection, key: Key, at_ms: int, text: str) -> None:
    """Write down what somebody did to an alarm, whatever its state is."""
    alarm, function = key
    state = connection.scalar(sa.select(_S.c.state).where(_S.c.alarm == alarm, _S.c.function == function))
    state = model.AlarmState(state or model.AlarmState.OK.value)
    event = AlarmEvent(alarm=alarm, function=function, at_ms=at_ms, was=state, became=state, value=None, text=text)
    _insert(connection, _H, [msgspec.structs.asdict(event)])
