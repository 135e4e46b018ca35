"""Alarms: how they stand, what came to pass, and letting them be silent or be tried."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

from faas import delivery
from faas.alerts import messages
from faas.api import answers, schemas, state
from faas.core import clock, errors, model
from faas.core.values import json_words, unreadable
from faas.store import alarms

_log = logging.getLogger(__name__)

LONGEST_SILENCE_MS = 366 * 86_400_000
T = TypeVar("T")


class AlarmsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alarms: those of a function, in some of the states; all when nothing is given."""

    function: str | None = None
    state: tuple[model.AlarmState, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of what came to pass. ``before`` is ``next`` of the page that this one follows."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class FunctionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One function of an alarm that is on each by itself; without it all of the alarm is meant."""

    function: str | None = None


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long an alarm shall tell nobody, in milliseconds; of one ``function``, or all of it."""

    for_ms: Annotated[int, msgspec.Meta(ge=1_000, le=LONGEST_SILENCE_MS)]
    function: str | None = None


async def list_alarms(request: web.Request) -> web.Response:
    """How all alarms stand, those that fire first."""
    asked = answers.query(request, AlarmsQuery)
    return await asyncio.to_thread(_listed, request.app[state.ALARMS], asked)


def _listed(store: alarms.Alarms, asked: AlarmsQuery) -> web.Response:
    """Also the encoding is for a thread: there may be one of each of ten thousand functions."""
    found, watch = _all(store)
    fitting = [
        each
        for each in found
        if asked.function in (None, each.function) and (not asked.state or each.state in asked.state)
    ]
    shown = tuple(fitting[: asked.limit])
    return answers.json(
        schemas.alarms.AlarmList(shown, len(fitting), watch.looked_at_ms or None, watch.file.fault or None)
    )


async def describe_alarm(request: web.Request) -> web.Response:
    """One alarm, and how it stands for each function that it is on."""
    declared = await _declared(request)
    store, name = request.app[state.ALARMS], declared.alarm.name
    standings = await asyncio.to_thread(store.standings, name)
    silences = await asyncio.to_thread(store.silences)
    return answers.json(
        schemas.alarms.AlarmDescription(
            name=name,
            kind=declared.kind.value,
            rule=declared.alarm.rule,
            revision=declared.revision,
            declared_at_ms=declared.declared_at_ms,
            remind_ms=declared.alarm.remind_ms,
            notify=declared.alarm.notify,
            standings=tuple(rows(declared, standings, silences, clock.now_ms())),
        )
    )


async def alarm_history(request: web.Request) -> web.Response:
    """What came to pass with an alarm, the newest first; also of one that is no longer declared."""
    asked, name = answers.query(request, HistoryQuery), request.match_info["name"]
    store = request.app[state.ALARMS]
    found = await asyncio.to_thread(store.history, name, asked.limit, asked.before)
    # Only then is it asked whether there is such an alarm: the history of one that is gone can be read.
    if not found:
        await _declared(request)
    events = tuple(msgspec.convert(each, schemas.alarms.AlarmEvent, from_attributes=True) for _, each in found)
    return answers.json(
        schemas.alarms.AlarmHistory(name=name, events=events, next=found[-1][0] if len(found) == asked.limit else None)
    )


async def silence_alarm(request: web.Request) -> web.Response:
    """Let an alarm tell nobody for a while; what it then tells is what is so by then."""
    declared = await _declared(request)
    asked, now_ms = await _body(request, Silence), clock.now_ms()
    key, until_ms = (declared.alarm.name, _of(declared, asked.function)), now_ms + asked.for_ms
    await asyncio.to_thread(request.app[state.ALARMS].silence, key, until_ms, now_ms)
    return answers.json(
        schemas.alarms.AlarmSilence(name=declared.alarm.name, function=asked.function, until_ms=until_ms)
    )


async def unsilence_alarm(request: web.Request) -> web.Response:
    """End the silence of an alarm."""
    asked, declared = answers.query(request, FunctionQuery), await _declared(request)
    key = (declared.alarm.name, _of(declared, asked.function))
    await asyncio.to_thread(request.app[state.ALARMS].silence, key, None, clock.now_ms())
    return answers.json(schemas.alarms.AlarmSilence(name=declared.alarm.name, function=asked.function, until_ms=None))


async def try_alarm(request: web.Request) -> web.Response:
    """Send a message that says that it is a test to wherever the alarm is told. Its state does not change."""
    alarm = (await _declared(request)).alarm
    standing = alarms.Standing(alarm=alarm.name, function=alarm.function or "")
    made = messages.of_test(alarm, standing, clock.now_ms())
    # By the same ways as a real one: a test that takes another tells nothing.
    for message in made:
        if isinstance(message.to, model.ToLog):
            _log.error("alarm_told", extra=messages.log_fields(message))
        else:
            sent = delivery.Message(id=message.id, of=messages.SENDER, body=message.body)
            await delivery.post(await request.app[state.CALLS].queue(), sent, message.to)
    return answers.json(schemas.alarms.AlarmTest(name=alarm.name, sent=tuple(message.to for message in made)))


def rows(
    declared: alarms.Declared, standings: Iterable[alarms.Standing], silences: Mapping[alarms.Key, int], now_ms: int
) -> list[schemas.alarms.Alarm]:
    """An alarm as it stands for each function; one row of all when there is nothing to tell them apart by."""
    alarm = declared.alarm
    unseen = alarms.Standing(
        alarm=alarm.name,
        function=alarm.function or "",
        since_ms=declared.declared_at_ms,
        text="all functions are ok" if alarm.each else "nobody has looked yet",
    )
    return [_row(alarm, standing, silences, now_ms) for standing in list(standings) or [unseen]]


def _row(
    alarm: model.Alarm, standing: alarms.Standing, silences: Mapping[alarms.Key, int], now_ms: int
) -> schemas.alarms.Alarm:
    # A silence of the whole alarm counts for each of its functions.
    until_ms = max(silences.get(key, 0) for key in (standing.key, (alarm.name, "")))
    return schemas.alarms.Alarm(
        name=alarm.name,
        function=standing.function or None,
        rule=alarm.rule,
        state=standing.state,
        since_ms=standing.since_ms,
        value=standing.value,
        text=standing.text,
        silenced_until_ms=until_ms if until_ms > now_ms else None,
        notify=alarm.notify,
    )


_ORDER = (
    model.AlarmState.FIRING, model.AlarmState.PENDING, model.AlarmState.NO_DATA, model.AlarmState.RESOLVED,
    model.AlarmState.OK,
)  # fmt: skip


def _all(store: alarms.Alarms) -> tuple[list[schemas.alarms.Alarm], alarms.Watch]:
    of_alarm: dict[str, list[alarms.Standing]] = {}
    for standing in store.standings():
        of_alarm.setdefault(standing.alarm, []).append(standing)
    silences, now_ms = store.silences(), clock.now_ms()
    found = [
        row
        for declared in store.declared()
        for row in rows(declared, of_alarm.get(declared.alarm.name, ()), silences, now_ms)
    ]
    return sorted(found, key=lambda row: _ORDER.index(row.state)), store.watch()


async def _declared(request: web.Request) -> alarms.Declared:
    name = request.match_info["name"]
    found = await asyncio.to_thread(request.app[state.ALARMS].get, name)
    if found is None:
        raise errors.NotFound(f"no alarm {name}", hint="`faas alarms ls` lists them", alarm=name)
    return found


def _of(declared: alarms.Declared, function: str | None) -> str:
    """The function of a standing that is meant; of an alarm on each function "" is all of them."""
    return (function or "") if declared.alarm.each else declared.alarm.function or ""


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except unreadable.ERRORS as error:
        raise errors.BadRequest(f"the body: {json_words.why(error)}", hint="see /api/v1/openapi.json") from error
