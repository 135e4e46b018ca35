"""What is told of an alarm: one JSON object, and the id by which whoever gets it twice knows it. Pure functions.

``text`` says all of it in a line, which is what chat programs show of a webhook. ``alarmData`` has the names of the
event with which CloudWatch runs a function, so that a handler for those runs here.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from faas.alerts import states
from faas.core import ids, model
from faas.store import alarms

SENDER = "alarms"
"""Who sends it, as destinations are told: in a bucket it is part of the key."""

_CLOUDWATCH: Mapping[model.AlarmState, str] = {
    model.AlarmState.FIRING: "ALARM",
    model.AlarmState.NO_DATA: "INSUFFICIENT_DATA",
}
_BEGIN = {
    states.Notice.FIRING: "FIRING",
    states.Notice.REMINDER: "STILL FIRING",
    states.Notice.RESOLVED: "RESOLVED",
}


def of(
    alarm: model.Alarm, before: alarms.Standing, now: alarms.Standing, what: states.Notice
) -> tuple[alarms.AlarmMessage, ...]:
    """One message for each place that the alarm is told to. The same moment makes the same ids, whoever looks."""
    id = ids.derived_id(now.at_ms, "alarm", alarm.name, now.function, what.value)
    body = _encoded(id, alarm, before, now, what.value, f"{_BEGIN[what]}: {_named(alarm, now)}: {now.text}")
    return tuple(
        alarms.AlarmMessage(id=id, place=place, to=to, body=body)
        for place, to in enumerate(dict.fromkeys(alarm.notify))
    )


def of_test(alarm: model.Alarm, now: alarms.Standing, at_ms: int) -> tuple[alarms.AlarmMessage, ...]:
    """The messages of a test, which says so, and otherwise looks like one that fires."""
    id = ids.new_id()
    standing = msgspec.structs.replace(now, at_ms=at_ms)
    body = _encoded(id, alarm, now, standing, "test", f"TEST: {_named(alarm, now)}: somebody tries where this arrives")
    return tuple(
        alarms.AlarmMessage(id=id, place=place, to=to, body=body)
        for place, to in enumerate(dict.fromkeys(alarm.notify))
    )


def log_fields(message: alarms.AlarmMessage) -> dict[str, str]:
    """What stands in the line of a message that is told to the log: first what it says, for whoever reads the log."""
    text: str = msgspec.json.decode(message.body)["text"]
    return {"text": text, "message_id": message.id, "body": message.body.decode()}


def _named(alarm: model.Alarm, now: alarms.Standing) -> str:
    is_in_name = not now.function or alarm.name.startswith(f"{now.function}.")
    return alarm.name if is_in_name else f"{alarm.name} of {now.function}"


def _encoded(id: str, alarm: model.Alarm, before: alarms.Standing, now: alarms.Standing, kind: str, text: str) -> bytes:
    return msgspec.json.encode(
        {
            "id": id,
            "source": "faas.alarms",
            "kind": kind,
            "text": text,
            "alarm": alarm.name,
            "function": now.function or None,
            "rule": alarm.rule,
            "state": now.state,
            "value": now.value,
            "since_ms": now.since_ms,
            "at_ms": now.at_ms,
            "alarmData": {
                "alarmName": alarm.name,
                "state": _state(now),
                # Before the first look there was none.
                **({"previousState": _state(before)} if before.at_ms else {}),
                "configuration": {"description": alarm.rule},
            },
        }
    )


def _state(standing: alarms.Standing) -> dict[str, Any]:
    value = _CLOUDWATCH.get(standing.state, "OK")
    return {"value": value, "reason": standing.text, "timestamp": _moment(standing.at_ms)}


def _moment(at_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")
