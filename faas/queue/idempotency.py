"""Calls that carry an idempotency key: the same key and request give the same invocation and the same answer.

::

    free ──claim──► claimed ──accepted (async)──► kept ──time──► free
      ▲                │ └────answered (sync)──────▲
      └──lapsed, or nothing came of it─┘

A claim lapses, so that a gateway that dies with one does not block the key; an async call is accepted in the script
that enqueues it. Answers that the platform is to blame for are not kept: the caller may try again. A call of which
nobody knows what became (it did not end in time, or Redis was not heard) may still run, so its key is not free before
the claim lapses.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from faas.core import errors, model
from faas.core.http import headers
from faas.queue import accepting, calls, invocations

_log = logging.getLogger(__name__)

MOST_CHARACTERS = 255

_CLAIM_MS = 30_000
_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 0.25
_SETTLE_AGAIN_S = 0.5
_FULL = {b"full": "", b"share": " of this function", b"caller": " of this caller"}
# What has not run, or may not have, leaves no answer: the next try with the key shall run.
_NOT_KEPT = (model.Status.LOST, model.Status.REJECTED)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(model.Outcome).decode


class KeyedCall(msgspec.Struct, frozen=True):
    """What a caller asks once: the key's name in Redis, the digest of the request, how long the answer is kept.

    ``function`` and ``address`` (of the caller; '' for none) are by whose shares it counts.
    """

    name: str
    digest: str
    keep_ms: int
    function: str = ""
    address: str = ""


class _Known(msgspec.Struct, frozen=True):
    id: str
    accepted: bool
    answer: bytes


async def _as_it_is(outcome: model.Outcome) -> model.Outcome:
    return outcome


def asked(
    key: str, function: str, caller: bytes, request: tuple[bytes, ...], keep_ms: int, address: str | None = None
) -> KeyedCall:
    """What a request with this key asks. Raises `errors.BadRequest` for a key that is empty or too long.

    A key is its caller's own: what another asks under the same key is another thing. ``caller`` says all that tells
    one from another, and the way that they came.
    """
    if not 0 < len(key) <= MOST_CHARACTERS:
        raise errors.BadRequest(
            f"{headers.IDEMPOTENCY_KEY}: expected 1 to {MOST_CHARACTERS} characters, found {len(key)}"
        )
    digest = hashlib.sha256()
    for part in request:
        # Lengths go before the parts, or two requests that are cut at different places would look the same.
        digest.update(len(part).to_bytes(8, "big") + part)
    whose = hashlib.sha256(caller).hexdigest()
    name = hashlib.sha256(f"{function}\0{whose}\0{key}".encode(errors="surrogateescape")).hexdigest()[:32]
    return KeyedCall(name, digest.hexdigest(), keep_ms, function, address or "")


async def accept(queue: invocations.Queue, asked: KeyedCall, invocation: model.Invocation, *, delay_ms: int = 0) -> str:
    """Enqueue an async invocation, unless this was done before; the id of the one that was accepted.

    Raises `errors.KeyReused`, and what enqueueing raises.
    """
    known = await _claimed(queue, asked, invocation.id, _CLAIM_MS, _CLAIM_MS)
    if known is not None:
        return known.id
    once = accepting.Once(asked.name, asked.keep_ms)
    try:
        await calls.heard(queue.enqueue(invocation, delay_ms=delay_ms, once=once))
    # Refused for certain. After any other error Redis may have taken it, and then the key stands for it.
    except errors.Throttled:
        await _settle(queue, asked, invocation.id, b"", _CLAIM_MS)
        raise
    return invocation.id


async def answer(
    queue: invocations.Queue,
    asked: KeyedCall,
    invocation_id: str,
    run: Callable[[], Awaitable[model.Outcome]],
    *,
    within_ms: int,
    to_keep: Callable[[model.Outcome], Awaitable[model.Outcome]] = _as_it_is,
) -> model.Outcome:
    """The outcome of ``run``, or of the call that had the key first, waiting for it when it still runs.

    ``to_keep`` says what of an outcome is kept for those who come later.

    A call that has begun goes on when its caller goes: the answer is there for the next try then. Raises
    `errors.KeyReused`, `errors.TimedOut`, and what ``run`` raises.
    """
    # The claim outlasts the longest call: a slow one must not lose its key to a second that runs beside it.
    known = await _claimed(queue, asked, invocation_id, 2 * within_ms, within_ms)
    if known is not None:
        return _decode(known.answer)
    kept = _kept(queue, asked, invocation_id, run, to_keep, 2 * within_ms)
    # What the task waits for (a reply, a slot) holds on to it, also when nobody awaits it any more.
    return await asyncio.shield(asyncio.create_task(kept, name="idempotent call"))


async def _kept(
    queue: invocations.Queue,
    asked: KeyedCall,
    invocation_id: str,
    run: Callable[[], Awaitable[model.Outcome]],
    to_keep: Callable[[model.Outcome], Awaitable[model.Outcome]],
    claim_ms: int,
) -> model.Outcome:
    try:
        outcome = await run()
    except (errors.Throttled, errors.NeverRan, errors.NothingRuns):  # after any other error a node may run it still
        await _settle(queue, asked, invocation_id, b"", claim_ms)
        raise
    kept = b"" if outcome.record.status in _NOT_KEPT else _encode(await to_keep(outcome))
    await _settle(queue, asked, invocation_id, kept, claim_ms)
    return outcome


async def _claimed(
    queue: invocations.Queue, asked: KeyedCall, invocation_id: str, claim_ms: int, within_ms: int
) -> _Known | None:
    """None when the key is this call's now; else the call that had it, once it is accepted or answered.

    Raises `errors.Throttled` when as much is kept as may be.
    """
    look_s = _FIRST_LOOK_S
    keys, most = (queue.keys.once(asked.name), queue.keys.answers), queue.keeping.answers_bytes
    try:
        async with asyncio.timeout(within_ms / 1000):
            while True:
                once = queue.run(
                    "once", keys, invocation_id, asked.digest, claim_ms, most, asked.function, asked.address
                )
                try:
                    said = await calls.heard(once)
                except (errors.Unavailable, asyncio.CancelledError):
                    if not _has_failed(once):
                        # Redis may take it yet, and nobody would call: what follows it lets go of the key again.
                        _begin_to_settle(queue, asked, invocation_id, b"", claim_ms)
                    raise
                if said[0] == b"new":
                    return None
                if said[0] in _FULL:
                    raise _full(said, most)
                if said[0] == b"other":
                    raise errors.KeyReused("this idempotency key was used for another request", hint="use a new key")
                if said[2] or said[3]:
                    return _Known(said[1].decode(), bool(said[2]), said[3])
                await asyncio.sleep(look_s)
                look_s = min(2 * look_s, _LONGEST_LOOK_S)
    except TimeoutError as error:
        raise errors.TimedOut("the call that has this idempotency key has not ended in time") from error


def _full(said: list[Any], most: int) -> errors.Throttled:
    return errors.Throttled(
        f"idempotency keys{_FULL[said[0]]} and their answers have {int(said[1])} bytes",
        limit=most,
        hint="set FAAS_KEEP_ANSWERS_MS lower, or FAAS_MAX_ANSWERS_BYTES and the memory of Redis higher",
    )


def _has_failed(sent: asyncio.Future[Any]) -> bool:
    """Whether Redis refused, or was gone; not, when nobody waited for what it says."""
    return sent.done() and not sent.cancelled() and sent.exception() is not None


async def _settle(queue: invocations.Queue, asked: KeyedCall, invocation_id: str, answer: bytes, claim_ms: int) -> None:
    """Keep an answer, or let go of the key ('' for none). What takes longer than a caller waits goes on by itself."""
    settling = _begin_to_settle(queue, asked, invocation_id, answer, claim_ms)
    await asyncio.wait({settling}, timeout=calls.ACCEPTED_WITHIN_S)


def _begin_to_settle(
    queue: invocations.Queue, asked: KeyedCall, invocation_id: str, answer: bytes, claim_ms: int
) -> asyncio.Task[None]:
    # The link and the clock, which it waits for, hold on to it.
    settling = _settled(queue, asked, invocation_id, answer, claim_ms)
    return asyncio.create_task(settling, name="settle idempotency key")


async def _settled(
    queue: invocations.Queue, asked: KeyedCall, invocation_id: str, answer: bytes, claim_ms: int
) -> None:
    """Tell Redis until it has heard, or the claim has lapsed. The script that hears it twice does it once."""
    keys = (queue.keys.once(asked.name), queue.keys.answers)
    try:
        async with asyncio.timeout(claim_ms / 1000):
            while True:
                with contextlib.suppress(errors.Unavailable):
                    await queue.run(
                        "answered", keys, invocation_id, answer, asked.keep_ms, asked.function, asked.address
                    )
                    return
                await asyncio.sleep(_SETTLE_AGAIN_S)
    except TimeoutError:
        _log.warning("idempotency_key_not_settled", extra={"invocation_id": invocation_id})
