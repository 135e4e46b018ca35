"""The outboxes: records of settled invocations, and messages, on their way to destinations; a stream for each.

::

    finish, refuse ──► in the outbox ──take──► being delivered ──put_away──► gone (delivered, or given up: in SQL)
                            ▲                    │    │    └─────pass_on──► the queue of the function it is for
                            └──scheduler's end───┘    └──again──► being delivered

A record is put there in the script that settles its invocation, a message by `post`. Schedulers take entries in a
consumer group made at 0, say every few seconds that they have them still, and take over what one that has gone had
taken.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

import msgspec

from faas.core import errors, model
from faas.core.values import unreadable
from faas.queue import destined, invocations

_log = logging.getLogger(__name__)

MOST_MESSAGES = 10_000
"""Messages that wait for one destination."""

_settled = msgspec.msgpack.Decoder(destined.Settled).decode
_invocation = msgspec.msgpack.Decoder(model.Invocation).decode
_message = msgspec.msgpack.Decoder(destined.Message).decode
_destination = msgspec.msgpack.Decoder(model.Destination).decode
_encode = msgspec.msgpack.Encoder().encode
_AT_ONCE = 3_600_000
"""An entry that seems untouched for so long is taken by the next scheduler that looks."""


class Outbox(msgspec.Struct, frozen=True):
    """The outbox of one destination: a revision, and ``success`` or ``failure``; or that of messages to one place."""

    ref: str
    way: str

    @property
    def is_of_messages(self) -> bool:
        """Whether messages are in it, and not records."""
        return self.way == destined.MESSAGE

    @property
    def function(self) -> str:
        """Whose records they are; '' for messages, which count to nobody's share."""
        return "" if self.is_of_messages else self.ref.rpartition("@")[0]


class OutboxRecord(msgspec.Struct, frozen=True):
    """One record to deliver. ``attempt`` counts how often it was taken, by whichever scheduler."""

    outbox: Outbox
    id: str
    settled: destined.Settled
    invocation: model.Invocation
    attempt: int

    @property
    def since_ms(self) -> int:
        """When it was put there, by Redis's clock."""
        return int(self.id.partition("-")[0])


class Posted(msgspec.Struct, frozen=True):
    """One message to deliver, and where to. ``attempt`` counts how often it was taken."""

    outbox: Outbox
    id: str
    message: destined.Message
    to: model.Destination
    attempt: int

    @property
    def since_ms(self) -> int:
        """When it was put there, by Redis's clock."""
        return int(self.id.partition("-")[0])


Taken = OutboxRecord | Posted
"""What was taken out of an outbox to be delivered."""


class Refusal(msgspec.Struct, frozen=True):
    """What becomes of a record that would be one link too many: a record, and what goes to its own destination."""

    record: model.Record
    settled: destined.Settled | None = None


async def lengths(queue: invocations.Queue) -> dict[Outbox, int]:
    """The outboxes that hold something, and how much. Raises `errors.Unavailable`."""
    flat = await queue.run("outboxes", (queue.keys.outboxes,), queue.keys.prefix)
    # An outbox in the set may be empty by now; the script has left those out, and forgotten them.
    return {_outbox(flat[at].decode()): flat[at + 1] for at in range(0, len(flat), 2)}


async def take(queue: invocations.Queue, outbox: Outbox, scheduler: str, most: int, stale_ms: int) -> list[Taken]:
    """Take up to ``most``: what was not touched for ``stale_ms`` first. Raises `errors.Unavailable`."""
    flat = await queue.run("take_out", (_stream(queue, outbox),), scheduler, most, stale_ms)
    taken = []
    for at in range(0, len(flat), 4):
        try:
            taken.append(_entry(outbox, flat[at : at + 4]))
        except unreadable.ERRORS as error:
            await _set_aside(queue, outbox, flat[at : at + 3], error)
    return taken


async def _set_aside(queue: invocations.Queue, outbox: Outbox, found: list[bytes], error: Exception) -> None:
    """Move what cannot be read out of the way of what can, and keep it for a person."""
    name, settled, invocation = found
    _log.error("unreadable_record_set_aside", extra={"outbox": str(outbox), "reason": str(error)})
    # Kept before it is removed: who is killed in between leaves it twice, and never not at all.
    await queue.link.call("XADD", queue.keys.unreadable, "*", "s", settled, "i", invocation, "reason", str(error))
    await queue.run("put_away", (_stream(queue, outbox), queue.keys.held), name, outbox.function)


async def again(queue: invocations.Queue, outbox: Outbox, scheduler: str, entry_id: str) -> Taken | None:
    """Take one more time what was taken before; None when it is this scheduler's no more."""
    found = await queue.run("take_again", (_stream(queue, outbox),), scheduler, entry_id)
    return _entry(outbox, found) if found else None


async def keep(queue: invocations.Queue, outbox: Outbox, scheduler: str, entry_ids: Collection[str]) -> int:
    """Say that entries are being delivered still; how many of them are this scheduler's."""
    return int(await queue.run("keep_out", (_stream(queue, outbox),), scheduler, 0, *entry_ids))


async def let_go(queue: invocations.Queue, outbox: Outbox, scheduler: str, entry_ids: Collection[str]) -> None:
    """Let the next scheduler that looks have entries that this one took."""
    await queue.run("keep_out", (_stream(queue, outbox),), scheduler, _AT_ONCE, *entry_ids)


async def put_away(queue: invocations.Queue, entry: Taken) -> bool:
    """Remove what is delivered, or given up and written down; False when it was removed before."""
    names = (_stream(queue, entry.outbox), queue.keys.held)
    return bool(await queue.run("put_away", names, entry.id, entry.outbox.function) == 1)


async def post(queue: invocations.Queue, message: destined.Message, to: model.Destination) -> bool:
    """Put a message into the outbox of its destination; False when one of this id was put there, within a day.

    Raises `errors.Throttled` when `MOST_MESSAGES` wait for that destination.
    """
    keys, packed = queue.keys, _encode(to)
    box = Outbox(destined.place_of(packed), destined.MESSAGE)
    names = (_stream(queue, box), keys.outboxes, keys.held, keys.posted(message.id, box.ref))
    answer = await queue.run("post", names, _encode(message), packed, f"{box.ref} {box.way}", MOST_MESSAGES)
    if answer == b"full":
        raise errors.Throttled(f"{MOST_MESSAGES} messages wait for one destination", limit=MOST_MESSAGES)
    return bool(answer == b"ok")


async def put_back(
    queue: invocations.Queue, settled: destined.Settled, invocation: model.Invocation, given_up_at_ms: int
) -> bool:
    """Put one that was given up then into its outbox again, as new; False when this was done before."""
    keys = queue.keys
    names = (
        keys.outbox(settled.record_ref, settled.way),
        keys.outboxes,
        keys.held,
        keys.put_back(invocation.id, given_up_at_ms),
    )
    packed = (_encode(settled), _encode(invocation))
    answer = await queue.run("put_back", names, *packed, settled.outbox, invocation.function)
    return bool(answer == 1)


async def pass_on(
    queue: invocations.Queue,
    entry: Taken,
    to: model.Invocation,
    *,
    most_waiting: int,
    refusal: Refusal | None = None,
) -> bool:
    """Move it into the queue of the function it is for (or settle that as refused); False when this was done before.

    The bounds of all queues do not count here: it leaves as many bytes as it takes. Raises `errors.Throttled` when
    ``most_waiting`` wait for the revision.
    """
    keys, ref = queue.keys, to.ref
    settled = refusal.settled if refusal else None
    answer = await queue.run(
        "pass_on",
        (
            _stream(queue, entry.outbox),
            keys.held,
            keys.queue(ref, model.Mode.ASYNC),
            keys.queue(ref, model.Mode.SYNC),
            keys.refs,
            keys.counts(ref),
            keys.demand,
            keys.demanded(ref),
            keys.call(to.id),
            keys.records,
            *((keys.outbox(settled.record_ref, settled.way), keys.outboxes) if settled else ()),
        ),
        entry.id,
        ref,
        _encode(to),
        to.id,
        most_waiting,
        _encode(refusal.record) if refusal else b"",
        entry.outbox.function,
        to.function,
        *((_encode(settled), settled.outbox) if settled else ()),
    )
    if answer[0] == b"full":
        raise errors.Throttled(f"{answer[1]} async invocations of {ref} are waiting", limit=most_waiting, function=ref)
    return bool(answer[0] == b"ok")


def _stream(queue: invocations.Queue, outbox: Outbox) -> str:
    return queue.keys.outbox(outbox.ref, outbox.way)


def _outbox(member: str) -> Outbox:
    ref, _, way = member.partition(" ")
    return Outbox(ref, way)


def _entry(outbox: Outbox, found: list[bytes]) -> Taken:
    name, first, second, attempt = found
    if outbox.is_of_messages:
        return Posted(outbox, name.decode(), _message(first), _destination(second), int(attempt))
    return OutboxRecord(outbox, name.decode(), _settled(first), _invocation(second), int(attempt))
