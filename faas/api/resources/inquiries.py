"""Asking what became of an invocation, and taking it back: ``/api/v1/invocations/{id}`` and what is below it."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, state, views
from faas.core import clock, errors, model
from faas.core.calls import unrun
from faas.core.values import json_text
from faas.queue import whereabouts

_TRIES = 3
_ATTEMPTS_EACH = 4
"""Records looked through for each invocation that is listed: one that was tried again has several."""


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many: the newest."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20


async def invocation(request: web.Request) -> web.Response:
    """Where an invocation is, its records so far, and its result while that is kept. Raises `errors.NotFound`."""
    invocation_id = await beginnings.of_invocation(request.app, request.match_info["id"])
    found = await request.app[state.CALLS].find(invocation_id)
    records = await asyncio.to_thread(request.app[state.LEDGER].get, invocation_id)
    if found is None and not records:
        raise _unknown(invocation_id)
    if found is not None and found.outcome is not None and found.outcome.record.attempt > len(records):
        records = [*records, found.outcome.record]  # the recorder is about to write it
    answer = _state(invocation_id, found, records, request.app[state.PRICES].currency)
    return answers.json(msgspec.structs.replace(answer, event=await _event(request, invocation_id, found, answer)))


async def _event(
    request: web.Request,
    invocation_id: str,
    found: whereabouts.Whereabouts | None,
    answer: schemas.invocations.InvocationState,
) -> msgspec.Raw | msgspec.UnsetType:
    """The event, where it is kept: with what waits or runs, and with dead letters."""
    if found is not None and found.invocation is not None:
        return msgspec.Raw(found.invocation.event)
    if answer.status is not whereabouts.Place.DEAD:
        return msgspec.UNSET
    letter = await asyncio.to_thread(request.app[state.DEAD_LETTERS].get, invocation_id)
    return msgspec.UNSET if letter is None else msgspec.Raw(letter.invocation.event)


def _unknown(invocation_id: str) -> errors.NotFound:
    return errors.NotFound(
        f"no invocation {invocation_id}",
        hint="async ones are known at once, sync ones when their first attempt has ended",
        id=invocation_id,
    )


def _state(
    invocation_id: str, found: whereabouts.Whereabouts | None, records: list[model.Record], currency: str
) -> schemas.invocations.InvocationState:
    place = _place(found, records)
    waits = found.invocation if found is not None else None
    # The number of an invocation that waits is that of the attempt to come.
    begun = 0 if waits is None else waits.attempt - (place is not whereabouts.Place.RUNNING)
    since_ms = None if found is None or found.running_ms is None else clock.now_ms() - found.running_ms
    return schemas.invocations.InvocationState(
        invocation_id=invocation_id,
        status=place,
        settled=place in (whereabouts.Place.DONE, whereabouts.Place.DEAD),
        attempts=max(begun, records[-1].attempt if records else 0),
        **_origin(waits or (records[-1] if records else None)),
        node=found.node if found else None,
        running_since_ms=since_ms,
        due_at_ms=found.due_at_ms if found else None,
        why=found.why if found else None,
        records=tuple(views.attempt(record, currency) for record in records),
        **_result(found.outcome if found else None),
    )


def _origin(known: model.Invocation | model.Record | None) -> dict[str, Any]:
    """What ran, and what for."""
    return {} if known is None else {name: getattr(known, name) for name in _ORIGIN}


_ORIGIN = ("function", "revision", "trigger", "mode", "object", "depth", "parent_id", "root_id")


def _place(found: whereabouts.Whereabouts | None, records: list[model.Record]) -> whereabouts.Place:
    last = records[-1] if records else None
    # The ledger has the last word: what Redis keeps of a settled one goes after a time.
    if last is not None and last.final:
        return whereabouts.Place.DEAD if last.dead else whereabouts.Place.DONE
    return found.place if found is not None else whereabouts.Place.RUNNING


def _result(outcome: model.Outcome | None) -> dict[str, Any]:
    """The result of one that went well; too large to be kept is an empty body, which no JSON is."""
    if outcome is None or outcome.record.status is not model.Status.OK or not (outcome.body or outcome.is_bytes):
        return {}
    if outcome.is_bytes:
        return {"result": base64.b64encode(outcome.body).decode(), "result_is_base64": True, "result_kept": True}
    return {"result": msgspec.Raw(json_text.standard(outcome.body)), "result_kept": True}


async def list_invocations(request: web.Request) -> web.Response:
    """The newest invocations of one function: those in their queues, and those whose records are written.

    What leaves its queue meanwhile is on its way to the ledger or in it: they are asked in this order.
    """
    name = request.match_info["name"]
    limit = answers.query(request, ListQuery).limit
    waiting = await request.app[state.CALLS].unsettled(name, limit)
    unrecorded = await request.app[state.CALLS].unrecorded(name)
    # By records and not by invocations: each may have several, so more are read than are shown.
    records = await asyncio.to_thread(request.app[state.LEDGER].find, name, None, (), limit * _ATTEMPTS_EACH)
    lines = {
        each.id: schemas.invocations.InvocationLine(each.id, each.place, each.attempts, each.accepted_at_ms)
        for each in waiting
    }
    # In this order, so that what is settled takes the place of what was seen waiting.
    for record in (*unrecorded, *records):
        if record.final:
            place = whereabouts.Place.DEAD if record.dead else whereabouts.Place.DONE
            lines[record.invocation_id] = schemas.invocations.InvocationLine(
                record.invocation_id, place, record.attempt, record.accepted_at_ms
            )
    newest = sorted(lines.values(), key=lambda line: line.invocation_id, reverse=True)[:limit]
    return answers.json(schemas.invocations.InvocationList(tuple(newest)))


async def cancel_invocation(request: web.Request) -> web.Response:
    """Take an async invocation back that has not begun its next attempt. Raises `errors.Conflict` for any other."""
    invocation_id = await beginnings.of_invocation(request.app, request.match_info["id"])
    for _ in range(_TRIES):  # between look and cancel it may have moved on
        found = await _unsettled(request, invocation_id)
        if found.place is whereabouts.Place.RUNNING or found.invocation is None:
            raise errors.Conflict(f"invocation {invocation_id} is running", hint="it ends by itself", id=invocation_id)
        record = unrun.cancelled(found.invocation, clock.now_ms())
        if await request.app[state.CALLS].cancel(found.invocation, found.packed, record):
            return answers.json(schemas.invocations.Moved(invocation_id, "cancelled"))
    raise errors.Conflict(f"invocation {invocation_id} is moving on", hint="ask again", id=invocation_id)


async def retry_invocation(request: web.Request) -> web.Response:
    """Let an invocation that is due later run now. Raises `errors.Conflict` when it does not wait for that."""
    invocation_id = await beginnings.of_invocation(request.app, request.match_info["id"])
    found = await _unsettled(request, invocation_id)
    moved = found.invocation is not None and await request.app[state.CALLS].make_due(found.invocation)
    if not moved:
        raise errors.Conflict(f"invocation {invocation_id} is {found.place}, not due later", id=invocation_id)
    return answers.json(schemas.invocations.Moved(invocation_id, "due"))


async def _unsettled(request: web.Request, invocation_id: str) -> whereabouts.Whereabouts:
    found = await request.app[state.CALLS].find(invocation_id)
    if found is None and not await asyncio.to_thread(request.app[state.LEDGER].get, invocation_id):
        raise _unknown(invocation_id)
    if found is None or found.outcome is not None or found.place in (whereabouts.Place.DONE, whereabouts.Place.DEAD):
        raise errors.Conflict(f"invocation {invocation_id} is settled", id=invocation_id)
    return found
