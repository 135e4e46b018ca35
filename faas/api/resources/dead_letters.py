"""Dead letters: what failed for good, to be looked at, sent again or dropped."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, slow, state, views
from faas.api.resources import invocations
from faas.core import clock, errors, ids, model
from faas.core.calls import calling
from faas.queue import guards
from faas.store import dead_letters

_GUARD = guards.DEAD_LETTERS


class LettersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which: the newest, of one function or all."""

    function: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


async def list_dead_letters(request: web.Request) -> web.Response:
    """The newest that fit, without their events."""
    asked = answers.query(request, LettersQuery)
    letters = request.app[state.DEAD_LETTERS]

    def made() -> schemas.dead_letters.DeadLetterList:
        found = letters.find(asked.function, asked.limit)
        return schemas.dead_letters.DeadLetterList(tuple(_line(each) for each in found))

    return await slow.json(request.app, made)


async def dead_letter(request: web.Request) -> web.Response:
    """One dead letter, with its event and the records of its attempts."""
    letter = await _found(request)
    records = await asyncio.to_thread(request.app[state.LEDGER].get, letter.invocation.id)
    currency = request.app[state.PRICES].currency
    return answers.json(
        schemas.dead_letters.DeadLetter(
            **msgspec.structs.asdict(_line(letter)),
            event=msgspec.Raw(letter.invocation.event),
            records=tuple(views.attempt(record, currency) for record in records),
        )
    )


async def retry_dead_letter(request: web.Request) -> web.Response:
    """Send its event to the function's current revision, once however often this is asked."""
    letter = await _found(request)
    dead = letter.invocation
    revision = await asyncio.to_thread(request.app[state.FUNCTIONS].current, dead.function)
    if revision is None:
        raise errors.NotFound(f"no function is called {dead.function} any more", function=dead.function)
    await invocations.refuse_stopped(request, revision.function)
    again = _again(dead, revision)
    guard = guards.Guard(key=_GUARD, field=dead.id, value=again.id)
    await request.app[state.CALLS].send_guarded(again, guard)
    # After it was sent: who dies in between leaves a letter that can be sent again, and the guard knows that it was.
    await asyncio.to_thread(request.app[state.DEAD_LETTERS].mark_retried, dead.id, again.id)
    return answers.json(schemas.dead_letters.Retried(dead.id, again.id))


async def drop_dead_letter(request: web.Request) -> web.Response:
    """Forget a dead letter. Its records and logs stay."""
    letter = await _found(request)
    await asyncio.to_thread(request.app[state.DEAD_LETTERS].drop, letter.invocation.id)
    await request.app[state.CALLS].forget_guard(_GUARD, letter.invocation.id)
    return answers.json(schemas.invocations.Moved(letter.invocation.id, "dropped"))


async def _found(request: web.Request) -> dead_letters.DeadLetter:
    letters = request.app[state.DEAD_LETTERS]
    invocation_id = await beginnings.whole(
        request.match_info["id"], lambda text: asyncio.to_thread(letters.ids, text, beginnings.ENOUGH)
    )
    found = await asyncio.to_thread(letters.get, invocation_id)
    if found is None:
        raise errors.NotFound(f"no dead letter {invocation_id}", hint="`faas dlq ls` lists them", id=invocation_id)
    return found


def _again(dead: model.Invocation, revision: model.Revision) -> model.Invocation:
    """The invocation anew; its id follows from the dead one's, so that it is the same however often it is made."""
    again_id = ids.derived_id(dead.accepted_at_ms, _GUARD, dead.id)
    return calling.again(dead, revision, id=again_id, at_ms=clock.now_ms())


def _line(letter: dead_letters.DeadLetter | dead_letters.DeadLetterLine) -> schemas.dead_letters.DeadLetterLine:
    record = letter.record
    return schemas.dead_letters.DeadLetterLine(
        invocation_id=record.invocation_id,
        function=record.function,
        revision=record.revision,
        trigger=record.trigger,
        status=record.status,
        attempts=record.attempt,
        died_at_ms=record.ended_at_ms,
        error=views.failure(record),
        retried_as=letter.retried_as,
    )
