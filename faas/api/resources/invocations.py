"""Calling functions: ``POST /api/v1/functions/{name}/invocations``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, schemas, state, views
from faas.api import calls as api_calls
from faas.core import clock, errors, ids, model, spelling
from faas.core.calls import calling, faults
from faas.core.http import headers
from faas.core.money import budgets
from faas.core.values import json_words, large_json, unreadable
from faas.queue import idempotency

_HINT = "text needs quotes: '\"hello\"'"
MOST_EVENTS = 1_000
"""Events of one batch."""

_CALLER = b"control API"
"""Whoever has the token is one caller here; keys of the gateway's are others'."""


async def invoke(request: web.Request) -> web.Response:
    """Run the current revision on the event in the body; an empty body is the event ``{}``."""
    call = calling.asked(request.headers)
    revision = await current(request)
    await refuse_stopped(request, revision.function)
    invocation = calling.invocation(
        revision,
        id=ids.new_id(),
        way="invoke",
        mode=call.mode,
        event=await _event(request),
        at_ms=clock.now_ms(),
        client_context=calling.client_context(request.headers),
        chain=_chain(request),
    )
    try:
        return await _run(request, call, invocation, revision.config)
    except errors.FaasError as error:
        error.data.setdefault("invocation_id", invocation.id)
        raise


async def invoke_batch(request: web.Request) -> web.Response:
    """Accept many async invocations; each event of the array has an outcome of its own, in the same order."""
    revision = await current(request)
    await refuse_stopped(request, revision.function)
    try:
        events = msgspec.json.decode(
            await _event(request), type=Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_EVENTS)]
        )
    except unreadable.ERRORS as error:
        raise errors.BadRequest(
            f"expected a JSON array of at most {MOST_EVENTS} events: {json_words.why(error)}"
        ) from error
    at_ms, fresh, chain = clock.now_ms(), ids.Ids(), _chain(request)
    invocations = [
        calling.invocation(
            revision,
            id=fresh.at(at_ms),
            way="invoke",
            mode=model.Mode.ASYNC,
            event=bytes(event),
            at_ms=at_ms,
            chain=chain,
        )
        for event in events
    ]
    refusals = await _send_all(request.app[state.CALLS], invocations, calling.delay_ms(request.headers))
    return answers.json(schemas.invocations.Batch(tuple(map(_item, invocations, refusals))), status=202)


async def _send_all(
    calls: api_calls.Calls, invocations: Sequence[model.Invocation], delay_ms: int
) -> Sequence[errors.FaasError | None]:
    try:
        return await calls.send_all(invocations, delay_ms)
    except errors.FaasError as error:
        # Each event has an answer of its own; nobody has to think of a case in which none has.
        return [error] * len(invocations)


def _item(invocation: model.Invocation, refusal: errors.FaasError | None) -> schemas.invocations.BatchItem:
    if refusal is not None:
        return schemas.invocations.BatchItem(
            "refused", error=schemas.failures.ErrorDetail(code=refusal.code, message=refusal.message)
        )
    return schemas.invocations.BatchItem("accepted", invocation.id, calling.status_url(invocation.id))


def _chain(request: web.Request) -> calling.Chain:
    """Who has the token begins a chain, in the trace that the request brings, if it does."""
    return calling.traced(calling.FIRST, ((name.lower(), value) for name, value in request.headers.items()))


async def _run(
    request: web.Request, call: calling.Asked, invocation: model.Invocation, config: model.FunctionConfig
) -> web.Response:
    calls, once = request.app[state.CALLS], _once(request, call, invocation)
    if call.mode is model.Mode.ASYNC:
        accepted = invocation.id
        if once is None:
            await calls.send(invocation, call.delay_ms)
        else:
            accepted = await calls.send_once(once, invocation, call.delay_ms)
        told = schemas.invocations.Accepted(accepted, calling.status_url(accepted))
        return answers.json(told, status=202, headers={headers.INVOCATION_ID: accepted})
    if once is None:
        outcome = await calls.outcome(invocation, config)
    else:
        outcome = await calls.outcome_once(once, invocation, config)
    fields = {headers.INVOCATION_ID: outcome.record.invocation_id}
    if (fault := faults.of(outcome.record.status)) is not None:
        fields[headers.ERROR] = fault.in_header
    return answers.json(views.report(outcome, request.app[state.PRICES].currency), headers=fields)


def _once(request: web.Request, call: calling.Asked, invocation: model.Invocation) -> idempotency.KeyedCall | None:
    """What the idempotency key stands for: the mode, the event and the client context."""
    if call.key is None:
        return None
    # The mode, too: the answer of an async call is another than that of a sync one.
    what = (str(invocation.mode).encode(), invocation.event, (invocation.client_context or "").encode())
    return idempotency.asked(call.key, invocation.function, _CALLER, what, request.app[state.RESULTS].keep_answers_ms)


async def refuse_stopped(request: web.Request, function: str) -> None:
    """Raise `errors.BudgetReached` for a function that may not run now."""
    stops = await asyncio.to_thread(request.app[state.FUNCTIONS].stops)
    budgets.refuse(function, budgets.stop_of(stops, function), clock.now_ms())


async def current(request: web.Request) -> model.Revision:
    """The current revision of the function that the path names. Raises `errors.NotFound`."""
    name = request.match_info["name"]
    revision = await asyncio.to_thread(request.app[state.FUNCTIONS].current, name)
    if revision is None:
        close = spelling.did_you_mean(name, await asyncio.to_thread(request.app[state.FUNCTIONS].names))
        hint = f"{close} `faas ls` lists them".strip()
        if ids.is_beginning(name):
            hint = "this is the id of an invocation: see `faas invocations show` and `faas logs --invocation`"
        raise errors.NotFound(f"no function is called {name}", hint=hint, function=name)
    return revision


async def _event(request: web.Request) -> bytes:
    limit = request.app[state.SANDBOXES].max_event_bytes
    # Before a byte is read; what comes in chunks is counted as it comes.
    if (request.content_length or 0) > limit:
        raise calling.too_large(limit)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise calling.too_large(limit)
    # What is small is checked here; a thread for it would cost more than the check.
    if len(body) <= large_json.LARGE_BYTES:
        return calling.json_event(bytes(body) or b"{}", _HINT)
    event = bytes(body)
    if not await large_json.apart(large_json.is_json, event):
        await large_json.apart(calling.json_event, event, _HINT)  # which says why
    return event
