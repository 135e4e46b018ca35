"""Alarms: how they stand, and what came to pass."""

from __future__ import annotations

from typing import Annotated

import msgspec

from faas.core import model

_Doc = msgspec.Meta


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it stands: for one function, or for all that it is on (null).

    ``value`` is in millionths for a share, microseconds for a duration and pico-units for an amount; null for a fact,
    and where nothing can be said. ``text`` says it to people.
    """

    name: str
    function: str | None
    rule: str
    state: model.AlarmState
    since_ms: int
    value: float | None
    text: str
    silenced_until_ms: int | None
    notify: tuple[model.Notify, ...]


class AlarmList(msgspec.Struct, frozen=True):
    """Alarms, those that fire first; ``total`` counts all that fit.

    ``looked_at_ms`` is when they were last looked at, and ``fault`` what is wrong with `alarms.yaml`.
    """

    alarms: tuple[Alarm, ...]
    total: int
    looked_at_ms: int | None
    fault: str | None


class AlarmDescription(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it was declared, in the block of a ``function``, of a ``project`` or of the ``platform``."""

    name: str
    kind: str
    rule: str
    revision: Annotated[int | None, _Doc(description="The revision of its function that it came with.")]
    declared_at_ms: int
    remind_ms: int
    notify: tuple[model.Notify, ...]
    standings: tuple[Alarm, ...]


class AlarmEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that came to pass, also an `alarm` of ``/api/v1/events``.

    ``was`` and ``became`` are equal when the alarm was silenced or not.
    """

    alarm: str
    function: str
    at_ms: int
    was: model.AlarmState
    became: model.AlarmState
    value: float | None
    text: str


class AlarmHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What came to pass, newest first. ``next`` goes into ``before`` of the next request; null on the last page."""

    name: str
    events: tuple[AlarmEvent, ...]
    next: int | None


class AlarmSilence(msgspec.Struct, frozen=True, kw_only=True):
    """Until when an alarm (or its part of one function) tells nobody; null for not at all."""

    name: str
    function: str | None
    until_ms: int | None


class AlarmTest(msgspec.Struct, frozen=True, kw_only=True):
    """Where a test is on its way to."""

    name: str
    sent: tuple[model.Notify, ...]
