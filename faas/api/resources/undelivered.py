"""Records that could not be delivered to their destination: to be looked at, sent again or dropped."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from faas.api import answers, beginnings, schemas, slow, state
from faas.api.resources import dead_letters
from faas.core import errors
from faas.core.values import json_text
from faas.queue import destined
from faas.store import undelivered

_settled = msgspec.msgpack.Decoder(destined.Settled).decode


async def list_undelivered(request: web.Request) -> web.Response:
    """The newest that fit, without their events."""
    asked = answers.query(request, dead_letters.LettersQuery)
    kept = request.app[state.UNDELIVERED]

    def made() -> schemas.undelivered.UndeliveredList:
        found = kept.find(asked.function, asked.limit)
        return schemas.undelivered.UndeliveredList(tuple(_listed(each) for each in found))

    return await slow.json(request.app, made)


async def undelivered_record(request: web.Request) -> web.Response:
    """One undelivered record, with the event and the result of its invocation."""
    found = await _found(request)
    settled = _settled(found.settled)
    return answers.json(
        schemas.undelivered.Undelivered(
            **msgspec.structs.asdict(_line(found)),
            event=msgspec.Raw(found.invocation.event),
            result=None if settled.is_bytes else msgspec.Raw(json_text.standard(settled.body)),
        )
    )


async def retry_undelivered(request: web.Request) -> web.Response:
    """Put an undelivered record into its outbox again, once however often this is asked."""
    found = await _found(request)
    # First put back, then forgotten: after a crash in between it is still listed, and is sent once all the same
    # (`put_back.lua`).
    await request.app[state.CALLS].put_back(_settled(found.settled), found.invocation, found.given_up_at_ms)
    await _forget(request, found)
    return answers.json(schemas.invocations.Moved(found.invocation.id, "sending"))


async def drop_undelivered(request: web.Request) -> web.Response:
    """Forget an undelivered record."""
    found = await _found(request)
    await _forget(request, found)
    return answers.json(schemas.invocations.Moved(found.invocation.id, "dropped"))


async def _forget(request: web.Request, found: undelivered.Undelivered) -> None:
    # By its moment, too: given up once more meanwhile, it is another one, which stays.
    await asyncio.to_thread(request.app[state.UNDELIVERED].drop, found.invocation.id, found.given_up_at_ms)


async def _found(request: web.Request) -> undelivered.Undelivered:
    kept = request.app[state.UNDELIVERED]
    invocation_id = await beginnings.whole(
        request.match_info["id"], lambda text: asyncio.to_thread(kept.ids, text, beginnings.ENOUGH)
    )
    found = await asyncio.to_thread(kept.get, invocation_id)
    if found is None:
        raise errors.NotFound(
            f"no undelivered record {invocation_id}", hint="`faas undelivered ls` lists them", id=invocation_id
        )
    return found


def _listed(found: undelivered.UndeliveredLine) -> schemas.undelivered.UndeliveredLine:
    return schemas.undelivered.UndeliveredLine(
        invocation_id=found.invocation_id,
        function=found.record.function,
        revision=found.record.revision,
        condition=found.condition,
        destination=found.destination,
        attempts=found.attempts,
        reason=found.reason,
        given_up_at_ms=found.given_up_at_ms,
    )


def _line(found: undelivered.Undelivered) -> schemas.undelivered.UndeliveredLine:
    return schemas.undelivered.UndeliveredLine(
        invocation_id=found.invocation.id,
        function=found.invocation.function,
        revision=found.invocation.revision,
        condition=_settled(found.settled).condition,
        destination=found.destination,
        attempts=found.attempts,
        reason=found.reason,
        given_up_at_ms=found.given_up_at_ms,
    )
