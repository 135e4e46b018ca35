"""What nodes' journals hold on its way into Redis: batches, each taken once however often it is sent.

A journal's positions only grow. Redis keeps, for each journal, the one up to which it has taken it (its mark); what is
taken and the mark move in one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from faas.queue import server as servers


class Shipment(msgspec.Struct, frozen=True):
    """A batch of what has ended, from ``start`` (before its first entry) to ``end`` (behind its last) of a journal.

    ``records`` is a msgpack array of `model.Record`, b"" for none. ``counts`` says, by ref, how many invocations have
    ended: they are accepted and done from now on; ``sizes`` how many bytes of the records are theirs. The next batch of
    a journal is sent when this one was answered.
    """

    journal: str
    start: int
    end: int
    records: bytes
    counts: Mapping[str, int]
    sizes: Mapping[str, int] = {}


class Shipped(msgspec.Struct, frozen=True):
    """Up to where Redis has the journal now, and the bytes of records that wait for the ledger, of all and by function.

    ``mark`` is at least the batch's end when it was taken, now or before. When it is in the middle of the batch, an
    earlier batch ended there, and nothing happened: a batch from there on is taken. ``own_unrecorded_bytes`` has the
    functions of a batch that was taken now.
    """

    mark: int
    unrecorded_bytes: int
    own_unrecorded_bytes: Mapping[str, int] = {}


def send(server: servers.RedisServer, shipment: Shipment) -> asyncio.Future[Any]:
    """Send a batch, before this returns; `shipped` reads the answer. It raises `errors.Unavailable`."""
    keys, refs = server.keys, tuple(shipment.counts)
    return server.run(
        "ship",
        (
            *(keys.journals, keys.records, keys.held, keys.refs),
            *(key for ref in refs for key in (keys.counts(ref), *keys.queues(ref))),
        ),
        shipment.journal,
        shipment.start,
        shipment.end,
        shipment.records,
        *(part for ref in refs for part in (ref, shipment.counts[ref], shipment.sizes.get(ref, 0))),
    )


def shipped(answer: list[int], shipment: Shipment) -> Shipped:
    """What sending a batch answered."""
    mark, unrecorded_bytes, *own = answer
    functions = [ref.rpartition("@")[0] for ref in shipment.counts]
    return Shipped(mark, unrecorded_bytes, dict(zip(functions, own, strict=False)))


async def mark(server: servers.RedisServer, journal: str) -> int:
    """Up to where Redis has a journal; 0 when it does not know it. Raises `errors.Unavailable`."""
    return int(await server.link.call("HGET", server.keys.journals, journal) or 0)


async def forget(server: servers.RedisServer, journal: str) -> None:
    """The journal is gone, and nobody will send of it again. Raises `errors.Unavailable`."""
    await server.link.call("HDEL", server.keys.journals, journal)
