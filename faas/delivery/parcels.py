"""What a destination gets: the record of a settled invocation or a message, made into one shape."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from faas.core import events, ids, model
from faas.core.values import json_text
from faas.queue import destined, outbox

_NO_ENV: Mapping[str, str] = {}


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to deliver. ``id`` is the delivery's, the same however often it is tried and by whomever.

    ``about`` is the id of the invocation or message and ``of`` the name of the function or sender. ``cause`` is the
    invocation that stands behind it, if one does. ``env`` holds the secrets that its destination may name.
    """

    id: str
    about: str
    of: str
    body: bytes
    attempt: int
    cause: model.Invocation | None = None
    env: Mapping[str, str] = _NO_ENV


def of_record(entry: outbox.OutboxRecord, env: Mapping[str, str], region: str) -> Parcel:
    """The record of a settled invocation, in the shape of Lambda's."""
    of = entry.invocation
    return Parcel(
        id=delivery_id(entry),
        about=of.id,
        of=of.function,
        body=_body(entry.settled, of, region),
        attempt=entry.attempt,
        cause=of,
        env=env,
    )


def of_message(posted: outbox.Posted) -> Parcel:
    """A message, as it was sent."""
    message = posted.message
    return Parcel(id=message.id, about=message.id, of=message.of, body=message.body, attempt=posted.attempt)


def delivery_id(entry: outbox.OutboxRecord) -> str:
    """The id of the delivery, which is that of the invocation when it goes to a function: the same however often."""
    return ids.derived_id(entry.settled.record.ended_at_ms, "destination", entry.invocation.id, entry.outbox.way)


def _body(settled: destined.Settled, of: model.Invocation, region: str) -> bytes:
    record = settled.record
    return events.destination_event(
        invocation_id=of.id,
        function=of.function,
        revision=of.revision,
        condition=settled.condition,
        attempts=of.attempt,
        settled_ms=record.ended_at_ms,
        event=of.event,
        result=_result(settled),
        error=msgspec.structs.asdict(record.error) if record.error else None,
        region=region,
    )


def _result(settled: destined.Settled) -> bytes:
    if settled.is_bytes:
        return msgspec.json.encode(base64.b64encode(settled.body).decode())
    return json_text.standard(settled.body)
