"""Where an invocation is, for whoever asks, and taking one out that has not begun.

Async invocations can be asked for by their id until their outcome is kept no longer; then the ledger knows them.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Mapping

import msgspec

from faas.core import model
from faas.queue import batches, invocations, retrying

_LOOK_AT_ONCE = 5
_LOOK_BYTES = 2_000_000
"""Of the stream of records: what takes some milliseconds to read."""

_CHAIN_ENTRIES = 5_000
_CHAIN_BYTES = 8_388_608
"""How much of the queues is searched for what belongs to a chain: some milliseconds of Redis."""

_DELIVERING = b"delivering"


class Place(enum.StrEnum):
    """The places of an invocation, as people see them.

    ``scheduled`` and ``retrying`` are one place in Redis, what is due later: before the first attempt and after one.
    """

    WAITING = "waiting"
    RUNNING = "running"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    DONE = "done"
    DEAD = "dead"


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """An async invocation and its place. ``invocation`` is there until it is settled, ``outcome`` from then on.

    ``packed`` is the invocation as it lies in Redis: one that an older platform wrote has fewer fields there.

    ``node`` and ``running_ms`` are of a running one; ``due_at_ms`` and ``why`` of one that is due later.
    """

    place: Place
    invocation: model.Invocation | None = None
    packed: bytes = b""
    node: str | None = None
    running_ms: int | None = None
    due_at_ms: int | None = None
    why: str | None = None
    outcome: model.Outcome | None = None


class Unsettled(msgspec.Struct, frozen=True):
    """One line of a list: how many attempts have begun, and when it was accepted."""

    place: Place
    id: str
    attempts: int
    accepted_at_ms: int


_invocation = msgspec.msgpack.Decoder(model.Invocation).decode
_outcome = msgspec.msgpack.Decoder(model.Outcome).decode
_encode = msgspec.msgpack.Encoder().encode


async def find(queue: invocations.Queue, invocation_id: str) -> Whereabouts | None:
    """Where an async invocation is; None when Redis does not know it (any more). Raises `errors.Unavailable`."""
    keys = queue.keys
    answer = await queue.run("find", (keys.call(invocation_id), keys.retrying), keys.prefix, invocation_id)
    if not answer:
        return None
    place, held = Place(answer[0].decode()), answer[1]
    if place in (Place.DONE, Place.DEAD):
        return Whereabouts(place=place, outcome=_outcome(held) if held else None)
    found = Whereabouts(place=place, invocation=_invocation(held), packed=held)
    if place is Place.RUNNING:
        return msgspec.structs.replace(found, node=answer[2].decode(), running_ms=answer[3])
    if place is Place.RETRYING:
        later = _later(found.invocation)
        return msgspec.structs.replace(
            found, place=later, due_at_ms=int(float(answer[2])), why=answer[3].decode() or None
        )
    return found


def _later(waits: model.Invocation | None) -> Place:
    """What is due later, by whether an attempt of it has begun."""
    return Place.SCHEDULED if waits is not None and waits.attempt == 1 else Place.RETRYING


async def cancel(queue: invocations.Queue, invocation: model.Invocation, packed: bytes, record: model.Record) -> bool:
    """Settle an async invocation, as it was found waiting or retrying, with a record; False when it has moved on.

    ``packed`` is `Whereabouts.packed`. Nothing goes to a destination: whoever takes it back knows.
    """
    keys, ref = queue.keys, invocation.ref
    answer = await queue.run(
        "cancel",
        (
            keys.call(invocation.id),
            keys.retrying,
            keys.counts(ref),
            keys.records,
            keys.queue(ref, model.Mode.ASYNC),
            keys.retrying_of(ref),
            keys.held,
        ),
        invocation.id,
        retrying.member(invocation),
        _encode(record),
        packed,
        _encode(model.Outcome(record=record)),
        queue.keeping.for_ms,
        invocation.function,
        invocation.caller or "",
    )
    return bool(answer == 1)


async def make_due(queue: invocations.Queue, invocation: model.Invocation) -> bool:
    """Let one that is due later be due now; False when it is not waiting for that."""
    return bool(await queue.link.call("ZADD", queue.keys.retrying, "XX", "CH", 0, retrying.member(invocation)))


async def unsettled(queue: invocations.Queue, function: str, most: int) -> list[Unsettled]:
    """Up to ``most`` of each place of one function's revisions, newest first."""
    flat = await queue.run("unsettled", (queue.keys.refs,), queue.keys.prefix, function, most)
    seen = [_seen(Place(flat[at].decode()), _invocation(flat[at + 1])) for at in range(0, len(flat), 2)]
    return sorted(seen, key=lambda each: each.id, reverse=True)


class ChainLook(msgspec.Struct, frozen=True):
    """What one look found of a chain in Redis. ``was_cut`` says that not all of the queues was searched.

    ``delivering`` are the settled ones whose records wait for a destination: ids to ``success`` or ``failure``.
    """

    unsettled: tuple[Whereabouts, ...] = ()
    delivering: Mapping[str, str] = {}
    was_cut: bool = False


async def of_chain(queue: invocations.Queue, root_id: str) -> ChainLook:
    """The invocations of a chain that are in queues, due later, or told to destinations. Raises `errors.Unavailable`.

    What runs by hand-off is in no queue.
    """
    keys = queue.keys
    was_cut, *flat = await queue.run(
        "of_chain",
        (keys.active, keys.retrying, keys.outboxes),
        keys.prefix,
        root_id,
        _CHAIN_ENTRIES,
        _CHAIN_BYTES,
    )
    rows = [flat[at : at + 4] for at in range(0, len(flat), 4)]
    # The script looks for the id among all bytes of an invocation, which an event may hold, too.
    ours = [(row, held) for row in rows if (held := _invocation(row[1])).chain_id == root_id]
    return ChainLook(
        tuple(_of_place(Place(row[0].decode()), held, *row[1:]) for row, held in ours if row[0] != _DELIVERING),
        {held.id: row[2].decode() for row, held in ours if row[0] == _DELIVERING},
        bool(was_cut),
    )


def _of_place(place: Place, held: model.Invocation, packed: bytes, node: bytes, number: int) -> Whereabouts:
    if place is Place.RETRYING:
        return Whereabouts(place=_later(held), invocation=held, packed=packed, due_at_ms=number)
    ms = number if place is Place.RUNNING else None
    return Whereabouts(place=place, invocation=held, packed=packed, node=node.decode() or None, running_ms=ms)


async def unrecorded(queue: invocations.Queue, function: str) -> list[model.Record]:
    """The newest records of one function that some sink has yet to commit, the ledger most likely; bounded in bytes.

    Ask for them after `unsettled` and before the ledger is read: so what moves on meanwhile is found at least once.
    """
    return await _unrecorded(queue, lambda record: record.function == function)


async def unrecorded_of_chain(queue: invocations.Queue, root_id: str) -> list[model.Record]:
    """Records of one chain that the ledger may not have yet; ask for them after `of_chain`."""
    return await _unrecorded(queue, lambda record: root_id in (record.root_id, record.invocation_id))


async def _unrecorded(queue: invocations.Queue, wanted: Callable[[model.Record], bool]) -> list[model.Record]:
    found: list[model.Record] = []
    before, left = "+", _LOOK_BYTES
    while left > 0:
        page = await queue.link.call("XREVRANGE", queue.keys.records, before, "-", "COUNT", _LOOK_AT_ONCE)
        for entry, fields in page:
            batch = batches.Batch()
            with contextlib.suppress(batches.Unreadable):
                batch.add(entry, fields)
            found += [record for record in batch.records if wanted(record)]
            left -= sum(map(len, fields[1::2]))
        if len(page) < _LOOK_AT_ONCE:
            break
        before = f"({page[-1][0].decode()}"
    return found


def _seen(place: Place, found: model.Invocation) -> Unsettled:
    # `attempt` numbers the one that comes next, unless it runs.
    attempts = found.attempt if place is Place.RUNNING else found.attempt - 1
    return Unsettled(_later(found) if place is Place.RETRYING else place, found.id, attempts, found.accepted_at_ms)
