"""Calls that carry an idempotency key: the same key and request give the same invocation and the same answer.

::

    free ──claim──► claimed ──accepted (async)──► kept ──time──► free
      ▲                │ └────answered (sync)──────▲
      └──lapsed, or nothing came of it─┘

A claim lapses, so that a gateway that dies with one does not block the key; an async call is accepted in the script
that enqueues it. Answers that the platform is to blame for are not kept: the caller may try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from faas.core import errors, model
from faas.queue import accepting, calls, invocations

HEADER = "Idempotency-Key"
MOST_CHARACTERS = 255

_CLAIM_MS = 30_000
_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 0.25
_NOT_KEPT = (model.Status.LOST, model.Status.REJECTED)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(model.Outcome).decode


class Asked(msgspec.Struct, frozen=True):
    """What a caller asks once: the key's name in Redis, the digest of the request, how long the answer is kept."""

    name: str
    digest: str
    keep_ms: int


class _Known(msgspec.Struct, frozen=True):
    id: str
    accepted: bool
    answer: bytes


def asked(key: str, function: str, request: tuple[bytes, ...], keep_ms: int) -> Asked:
    """What a request with this key asks. Raises `errors.BadRequest` for a key that is empty or too long."""
    if not 0 < len(key) <= MOST_CHARACTERS:
        raise errors.BadRequest(f"{HEADER}: expected 1 to {MOST_CHARACTERS} characters, found {len(key)}")
    digest = hashlib.sha256()
    for part in request:
        digest.update(len(part).to_bytes(8, "big") + part)
    name = hashlib.sha256(f"{function}\0{key}".encode(errors="surrogateescape")).hexdigest()[:32]
    return Asked(name, digest.hexdigest(), keep_ms)


async def accept(queue: invocations.Queue, asked: Asked, invocation: model.Invocation, *, delay_ms: int = 0) -> str:
    """Enqueue an async invocation, unless this was done before; the id of the one that was accepted.

    Raises `errors.KeyReused`, and what enqueueing raises.
    """
    known = await _claimed(queue, asked, invocation.id, _CLAIM_MS, _CLAIM_MS)
    if known is not None:
        return known.id
    once = accepting.Once(asked.name, asked.keep_ms)
    try:
        await calls.heard(queue.enqueue(invocation, delay_ms=delay_ms, once=once))
    except errors.Throttled:
        await _settle(queue, asked, invocation.id, b"")
        raise
    return invocation.id


async def answer(
    queue: invocations.Queue,
    asked: Asked,
    invocation_id: str,
    run: Callable[[], Awaitable[model.Outcome]],
    *,
    within_ms: int,
) -> model.Outcome:
    """The outcome of ``run``, or of the call that had the key first, waiting for it when it still runs.

    A call that has begun goes on when its caller goes: the answer is there for the next try then. Raises
    `errors.KeyReused`, `errors.TimedOut`, and what ``run`` raises.
    """
    known = await _claimed(queue, asked, invocation_id, 2 * within_ms, within_ms)
    if known is not None:
        return _decode(known.answer)
    # What the task waits for (a reply, a slot) holds on to it, also when nobody awaits it any more.
    return await asyncio.shield(asyncio.create_task(_kept(queue, asked, invocation_id, run), name="idempotent call"))


async def _kept(
    queue: invocations.Queue, asked: Asked, invocation_id: str, run: Callable[[], Awaitable[model.Outcome]]
) -> model.Outcome:
    kept = b""
    try:
        outcome = await run()
        if outcome.record.status not in _NOT_KEPT:
            kept = _encode(outcome)
        return outcome
    finally:
        # Whoever has an answer does not ask again, and what was sent is done as soon as Redis goes on.
        with contextlib.suppress(errors.Unavailable):
            await _settle(queue, asked, invocation_id, kept)


async def _claimed(
    queue: invocations.Queue, asked: Asked, invocation_id: str, claim_ms: int, within_ms: int
) -> _Known | None:
    """None when the key is this call's now; else the call that had it, once it is accepted or answered.

    Raises `errors.Throttled` when as much is kept as may be.
    """
    look_s = _FIRST_LOOK_S
    keys, most = (queue.keys.once(asked.name), queue.keys.answers), queue.keeping.answers_bytes
    try:
        async with asyncio.timeout(within_ms / 1000):
            while True:
                said = await calls.heard(queue.run("once", keys, invocation_id, asked.digest, claim_ms, most))
                if said[0] == b"new":
                    return None
                if said[0] == b"full":
                    raise errors.Throttled(
                        f"idempotency keys and their answers have {said[1]} bytes",
                        limit=most,
                        hint="set FAAS_KEEP_ANSWERS_MS lower, or FAAS_MAX_ANSWERS_BYTES and the memory of Redis higher",
                    )
                if said[0] == b"other":
                    raise errors.KeyReused("this idempotency key was used for another request", hint="use a new key")
                if said[2] or said[3]:
                    return _Known(said[1].decode(), bool(said[2]), said[3])
                await asyncio.sleep(look_s)
                look_s = min(2 * look_s, _LONGEST_LOOK_S)
    except TimeoutError as error:
        raise errors.TimedOut("the call that has this idempotency key has not ended in time") from error


async def _settle(queue: invocations.Queue, asked: Asked, invocation_id: str, answer: bytes) -> None:
    keys = (queue.keys.once(asked.name), queue.keys.answers)
    await calls.heard(queue.run("answered", keys, invocation_id, answer, asked.keep_ms))
