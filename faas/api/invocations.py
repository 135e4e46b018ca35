"""Calling functions: ``POST /api/v1/functions/{name}/invocations``."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, schemas, state, views
from faas.api import calls as api_calls
from faas.core import durations, errors, ids, model
from faas.queue import idempotency

ID = "Faas-Invocation-Id"
TYPE = "Faas-Invocation-Type"
CLIENT_CONTEXT = "Faas-Client-Context"
MOST_EVENTS = 1_000

_CALLER = b"control API"
"""Whoever has the token is one caller here; keys of the gateway's are others'."""

"""Events of one batch."""


async def invoke(request: web.Request) -> web.Response:
    """Run the current revision on the event in the body; an empty body is the event ``{}``."""
    mode = _mode(request)
    revision = await current(request)
    invocation = model.Invocation(
        id=ids.new_id(),
        function=revision.function,
        revision=revision.number,
        trigger="invoke",
        mode=mode,
        event=await _event(request),
        accepted_at_ms=time.time_ns() // 1_000_000,
        client_context=_client_context(request),
    )
    try:
        return await _run(request, invocation, revision.config)
    except errors.FaasError as error:
        error.data.setdefault("invocation_id", invocation.id)
        raise


async def invoke_batch(request: web.Request) -> web.Response:
    """Accept many async invocations; each event of the array has an outcome of its own, in the same order."""
    revision = await current(request)
    try:
        events = msgspec.json.decode(
            await _event(request), type=Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_EVENTS)]
        )
    except msgspec.ValidationError as error:
        raise errors.BadRequest(f"expected a JSON array of at most {MOST_EVENTS} events: {error}") from error
    delay_ms = durations.delay_ms(request.headers.get(durations.DELAY_HEADER, "0s"))
    calls = request.app[state.CALLS]
    results = await asyncio.gather(*(_accept(calls, revision, bytes(event), delay_ms) for event in events))
    return answers.json(schemas.Batch(tuple(results)), status=202)


async def _accept(calls: api_calls.Calls, revision: model.Revision, event: bytes, delay_ms: int) -> schemas.BatchItem:
    invocation = model.Invocation(
        id=ids.new_id(),
        function=revision.function,
        revision=revision.number,
        trigger="invoke",
        mode=model.Mode.ASYNC,
        event=event,
        accepted_at_ms=time.time_ns() // 1_000_000,
    )
    try:
        await calls.send(invocation, delay_ms)
    except errors.FaasError as error:
        return schemas.BatchItem("refused", error=schemas.ErrorDetail(code=error.code, message=error.message))
    return schemas.BatchItem("accepted", invocation.id, status_url(invocation.id))


async def _run(request: web.Request, invocation: model.Invocation, config: model.FunctionConfig) -> web.Response:
    calls, asked = request.app[state.CALLS], _asked(request, invocation)
    if invocation.mode is model.Mode.ASYNC:
        accepted, delay_ms = invocation.id, durations.delay_ms(request.headers.get(durations.DELAY_HEADER, "0s"))
        if asked is None:
            await calls.send(invocation, delay_ms)
        else:
            accepted = await calls.send_once(asked, invocation, delay_ms)
        return answers.json(schemas.Accepted(accepted, status_url(accepted)), status=202, headers={ID: accepted})
    if asked is None:
        outcome = await calls.outcome(invocation, config)
    else:
        outcome = await calls.outcome_once(asked, invocation, config)
    headers = {ID: outcome.record.invocation_id}
    if outcome.record.status is not model.Status.OK:
        lost = outcome.record.status in (model.Status.LOST, model.Status.REJECTED)
        headers["Faas-Error"] = "platform" if lost else "function"
    return answers.json(views.report(outcome), headers=headers)


def _asked(request: web.Request, invocation: model.Invocation) -> idempotency.Asked | None:
    """What the idempotency key stands for: the mode, the event and the client context."""
    key = request.headers.get(idempotency.HEADER)
    if key is None:
        return None
    what = (str(invocation.mode).encode(), invocation.event, (invocation.client_context or "").encode())
    return idempotency.asked(key, invocation.function, _CALLER, what, request.app[state.SETTINGS].keep_answers_ms)


def status_url(invocation_id: str) -> str:
    """Where the control API says what became of an invocation."""
    return f"/api/v1/invocations/{invocation_id}"


async def current(request: web.Request) -> model.Revision:
    """The current revision of the function that the path names. Raises `errors.NotFound`."""
    name = request.match_info["name"]
    revision = await asyncio.to_thread(request.app[state.FUNCTIONS].current, name)
    if revision is None:
        raise errors.NotFound(f"no function is called {name}", hint="`faas ls` lists them", function=name)
    return revision


def _mode(request: web.Request) -> model.Mode:
    asked = request.headers.get(TYPE, "async" if durations.DELAY_HEADER in request.headers else "sync").lower()
    if asked == model.Mode.SYNC and durations.DELAY_HEADER in request.headers:
        raise errors.BadRequest(f"{durations.DELAY_HEADER}: only an async call can be delayed")
    try:
        return model.Mode(asked)
    except ValueError as error:
        raise errors.BadRequest(f"{TYPE}: found {asked!r}, expected sync or async") from error


async def _event(request: web.Request) -> bytes:
    limit = request.app[state.SETTINGS].max_event_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return json_event(bytes(body) or b"{}")


def json_event(payload: bytes) -> bytes:
    """The payload, when it is one JSON value in UTF-8. Raises `errors.BadRequest`."""
    try:
        payload.decode()
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise errors.BadRequest(f"the payload is not JSON: {error}", hint="text needs quotes: '\"hello\"'") from error
    return payload


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(
        f"the payload is over {limit} bytes", hint="put large things into a bucket and send their key", limit=limit
    )


def _client_context(request: web.Request) -> str | None:
    given = request.headers.get(CLIENT_CONTEXT)
    if given is None:
        return None
    try:
        return json_event(base64.b64decode(given, validate=True)).decode()
    except (binascii.Error, errors.BadRequest) as error:
        raise errors.BadRequest(f"{CLIENT_CONTEXT}: expected JSON in base64") from error
