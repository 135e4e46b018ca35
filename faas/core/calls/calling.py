"""From what was asked to an invocation: the one way in, whoever asks. Pure.

::

    a request's fields ──asked──► mode, delay, key ─┐
    a revision, an event, a moment, a chain ────────┴─ invocation ──► `model.Invocation`

The gateway, the control API, timers, uploads and destinations all make their invocations here, so that what is asked in
the same words means the same at each of them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from faas.core import durations, errors, model
from faas.core.calls import tracing
from faas.core.http import headers
from faas.core.values import json_text

Way = Literal["http", "timer", "upload", "destination", "invoke"]
"""How invocations come to be; see `model.Invocation`."""

_TYPE = headers.INVOCATION_TYPE.lower()
_DELAY = headers.DELAY.lower()
_KEY = headers.IDEMPOTENCY_KEY.lower()
# A name of this module is found quicker than one of another, and this is made for each call.
_Invocation = model.Invocation


class Asked(msgspec.Struct, frozen=True):
    """What the header fields of a call ask for. ``key`` is its idempotency key."""

    mode: model.Mode = model.Mode.SYNC
    delay_ms: int = 0
    key: str | None = None


class Chain(msgspec.Struct, frozen=True):
    """Where an invocation stands in a chain of functions that triggered one another; see `model.Invocation`."""

    depth: int = 0
    parent_id: str | None = None
    root_id: str | None = None
    trace: model.TraceContext | None = None


FIRST = Chain()
"""What follows from no other invocation."""


def after(cause: model.Invocation) -> Chain:
    """The place of what follows from an invocation."""
    return Chain(cause.depth + 1, cause.id, cause.chain_id, tracing.onward(cause))


def traced(chain: Chain, fields: Iterable[tuple[str, str]]) -> Chain:
    """A chain in the trace that the header fields of a request bring, if they do. Names are in lower case."""
    trace = tracing.read(fields)
    return chain if trace is None else msgspec.structs.replace(chain, trace=trace)


def asked(fields: Mapping[str, str]) -> Asked:
    """What a request asks for. Its fields are found by their names in lower case. Raises `errors.BadRequest`."""
    delay, key = fields.get(_DELAY), fields.get(_KEY)
    mode = _mode(fields.get(_TYPE), is_delayed=delay is not None)
    return Asked(mode, 0 if delay is None else durations.delay_ms(delay), key)


def delay_ms(fields: Mapping[str, str]) -> int:
    """For how long async calls are to wait, where nothing else can be asked for. Raises `errors.BadRequest`."""
    return durations.delay_ms(fields.get(_DELAY, "0s"))


def _mode(given: str | None, *, is_delayed: bool) -> model.Mode:
    if given is None:
        return model.Mode.ASYNC if is_delayed else model.Mode.SYNC
    try:
        mode = model.Mode(given.lower())
    except ValueError as error:
        raise errors.BadRequest(f"{headers.INVOCATION_TYPE}: found {given!r}, expected sync or async") from error
    if is_delayed and mode is model.Mode.SYNC:
        raise errors.BadRequest(f"{headers.DELAY}: only an async call can be delayed")
    return mode


def invocation(
    revision: model.Revision,
    *,
    id: str,
    way: Way,
    mode: model.Mode,
    event: bytes,
    at_ms: int,
    place: int | None = None,
    reply_to: str | None = None,
    client_context: str | None = None,
    chain: Chain = FIRST,
    caller: str | None = None,
) -> model.Invocation:
    """The invocation of a revision on an event, accepted at this moment.

    ``place`` is that of the trigger among the revision's, and ``reply_to`` the reply stream of who awaits the outcome.
    ``caller`` is by what the share of who asks is counted.
    """
    if chain is FIRST and client_context is None:
        # What nearly every call is, for which each field that is passed on costs the gateway some 20 ns.
        return _Invocation(
            id=id,
            function=revision.function,
            revision=revision.number,
            trigger=way,
            mode=mode,
            event=event,
            accepted_at_ms=at_ms,
            reply_to=reply_to,
            trigger_place=place,
            caller=caller,
        )
    return _Invocation(
        id=id,
        function=revision.function,
        revision=revision.number,
        trigger=way,
        mode=mode,
        event=event,
        accepted_at_ms=at_ms,
        depth=chain.depth,
        reply_to=reply_to,
        client_context=client_context,
        parent_id=chain.parent_id,
        root_id=chain.root_id,
        trigger_place=place,
        caller=caller,
        trace=chain.trace,
    )


def again(dead: model.Invocation, revision: model.Revision, *, id: str, at_ms: int) -> model.Invocation:
    """An invocation that failed for good, anew: on the same event, by the revision of today, in the same chain."""
    return msgspec.structs.replace(
        dead, id=id, revision=revision.number, attempt=1, trigger_place=None, accepted_at_ms=at_ms, caller=None
    )


def status_url(invocation_id: str) -> str:
    """Where the control API says what became of an invocation."""
    return f"/api/v1/invocations/{invocation_id}"


def json_event(payload: bytes, hint: str) -> bytes:
    """The payload, when it is one JSON value in UTF-8. Raises `errors.BadRequest` with this hint."""
    if not json_text.is_json(payload):
        raise errors.BadRequest(f"the payload is not JSON: {json_text.why_not(payload)}", hint=hint)
    return payload


def client_context(fields: Mapping[str, str]) -> str | None:
    """The JSON that the handler finds in its context, when a request gives any. Raises `errors.BadRequest`."""
    given = fields.get(headers.CLIENT_CONTEXT.lower())
    if given is None:
        return None
    try:
        return json_event(base64.b64decode(given, validate=True), "").decode()
    except (ValueError, errors.BadRequest) as error:
        raise errors.BadRequest(f"{headers.CLIENT_CONTEXT}: expected JSON in base64") from error


def too_large(limit_bytes: int) -> errors.TooLarge:
    """The refusal of an event that is larger than events may be."""
    return errors.TooLarge(
        f"the event is over {limit_bytes} bytes",
        hint="put large things into a bucket and send their key",
        limit=limit_bytes,
    )
