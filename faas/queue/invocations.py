"""The moves of an invocation between its places in Redis, each one atomic script.

::

    enqueue ──► waiting ──claim──► running ──finish──► done | dead
                ▲  ▲  │               │ │
                │  │  └─abandon─► done│ │
                │  └─────release──────┘ │
               due                      │
                └───── retrying ◄─retry─┘
    hand_off ─────────────────────► running ──finish──► done
    refuse ──► done | dead

What comes in is in `faas.queue.accepting`, what waits until it is due in `faas.queue.retrying`; claims and their ends
are here. The scripts' headers in ``scripts/`` say what each does; these modules only name their keys and pack their
arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from faas.core import model
from faas.core import settings as settings_module
from faas.queue import accepting, census, destined, fsync
from faas.queue import bounds as limits
from faas.queue import keys as keyring
from faas.queue import link as links
from faas.queue import server as servers

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(model.Invocation).decode


class Claim(msgspec.Struct, frozen=True):
    """A claimed invocation, and the stream entry by which it is finished or released."""

    entry: str
    invocation: model.Invocation


class Finished(msgspec.Struct, frozen=True):
    """The answer to a finish: False in ``settled`` means that the lease had lapsed and nothing happened.

    ``left`` counts what waits still for the revision, ``unrecorded_bytes`` what of records waits for the ledger,
    ``claims`` is the work claimed along with it.
    """

    settled: bool
    left: int
    unrecorded_bytes: int
    claims: tuple[Claim, ...]


class Queue(accepting.Entrance):
    """The queues of one platform over one link. Every method raises `errors.Unavailable` when Redis is away.

    After a loss `reopen` gives the same queue a new link, so whoever holds the queue goes on using it.
    """

    def __init__(
        self,
        redis_url: str,
        link: links.Link,
        keys: keyring.Keys,
        digests: dict[str, str],
        bounds: limits.Bounds,
        keeping: limits.Keeping,
        synced: fsync.Fsync | None,
    ) -> None:
        super().__init__(redis_url, link, keys, digests, bounds, synced)
        self.keeping = keeping

    @classmethod
    async def connect(
        cls,
        redis_url: str,
        prefix: str,
        bounds: limits.Bounds = limits.Bounds(),  # noqa: B008 - frozen
        *,
        keeping: limits.Keeping = limits.Keeping(),  # noqa: B008 - frozen
        strict: bool = False,
    ) -> Queue:
        """Open a link, load the scripts, and check that what Redis holds is of a format this platform knows."""
        keys = keyring.Keys(prefix)
        link, digests = await servers.opened(redis_url, keys)
        return cls(redis_url, link, keys, digests, bounds, keeping, fsync.Fsync(redis_url, keys) if strict else None)

    @classmethod
    async def of(cls, settings: settings_module.Settings) -> Queue:
        """`connect`, as the settings say."""
        return await cls.connect(
            settings.redis_url,
            settings.redis_prefix,
            limits.Bounds.of(settings),
            keeping=limits.Keeping.of(settings),
            strict=settings.durability == "strict",
        )

    async def prepare(self, ref: str) -> None:
        """Make a revision's queues, so that they can be read before anything was enqueued."""
        await self.run("prepare", (*self.keys.queues(ref), self.keys.refs), ref)

    async def claim(self, node: str, ref: str, count: int) -> list[Claim]:
        """Claim up to ``count`` waiting invocations of a revision, sync ones first; empty when none waits."""
        return claims(await self.send_claim(node, ref, count))

    def send_claim(self, node: str, ref: str, count: int) -> asyncio.Future[Any]:
        """`claim`, sent before it returns; `claims` reads the answer."""
        return self.run("claim", self.keys.queues(ref), node, count)

    async def finish_claimed(
        self,
        claim: Claim,
        record: model.Record,
        *,
        node: str,
        reply: bytes = b"",
        claim_next: int = 0,
        settled: destined.Settled | None = None,
    ) -> Finished:
        """Settle a claimed invocation: record, reply (msgpack `model.Outcome`) and the next claims in one step."""
        sent = self.send_finish(
            claim.invocation, claim.entry, record, node=node, reply=reply, claim_next=claim_next, settled=settled
        )
        return finished(await sent)

    async def finish_handed_off(
        self, invocation: model.Invocation, record: model.Record, *, node: str, claim_next: int = 0, again: bool = False
    ) -> Finished:
        """Settle a call that was handed off; its caller has the answer from memory."""
        return finished(await self.send_finish(invocation, None, record, node=node, claim_next=claim_next, again=again))

    def send_finish(
        self,
        invocation: model.Invocation,
        entry: str | None,
        record: model.Record,
        *,
        node: str,
        reply: bytes = b"",
        claim_next: int = 0,
        again: bool = False,
        heard: Sequence[str] = (),
        settled: destined.Settled | None = None,
    ) -> asyncio.Future[Any]:
        """Either finish, sent before it returns; ``entry`` is None after a hand-off. `finished` reads the answer.

        ``again`` is for a hand-off that may not have reached Redis, or whose first finish had no answer: it is settled
        unless it was before. ``heard`` names hand-offs (`accepting.hand_off_field`) of which it was answered that they
        are settled, so that Redis need not remember them. ``settled`` is for the destination of an async one, when it
        has one.
        """
        asked = invocation.mode is model.Mode.ASYNC
        return self.run(
            "finish",
            (*self._finish_keys(invocation, entry, node), *(self.outbox(settled) if asked and settled else ())),
            "async" if asked else "handoff" if entry is None else "queue",
            accepting.hand_off_field(invocation) if entry is None else entry,
            _encode(record),
            "dead" if record.dead else "done",
            invocation.id,
            reply,
            node,
            claim_next,
            *((self.keeping.for_ms, self.keeping.most, self.keeping.most_bytes) if asked else ()),
            *(("1" if again else "0", *heard) if entry is None else ()),
            *((_encode(settled), settled.outbox) if asked and settled else ()),
        )

    def _finish_keys(self, invocation: model.Invocation, entry: str | None, node: str) -> tuple[str, ...]:
        keys, ref = self.keys, invocation.ref
        asked = invocation.mode is model.Mode.ASYNC
        return (
            keys.running(node) if entry is None else keys.queue(ref, invocation.mode),
            keys.counts(ref),
            keys.records,
            keys.call(invocation.id) if asked else keys.reply(invocation.reply_to or "none"),
            *keys.queues(ref),
            keys.held,
            keys.settled(node) if entry is None else keys.kept,
        )

    async def release(
        self, claim: Claim, *, record: model.Record | None = None, again: model.Invocation | None = None
    ) -> bool:
        """Give a claimed invocation back; False when it was not claimed any more.

        ``record`` is the attempt that ended without an outcome (lost), ``again`` the invocation as it shall wait.
        """
        invocation, keys = claim.invocation, self.keys
        ref = invocation.ref
        answer = await self.run(
            "release",
            (
                keys.queue(ref, invocation.mode),
                keys.records,
                keys.demand,
                keys.demanded(ref),
                keys.held,
                *keys.call_of(invocation),
            ),
            claim.entry,
            _encode(again or invocation),
            _encode(record) if record else b"",
            ref,
        )
        return bool(answer == 1)

    async def counts(self) -> dict[str, model.Counts]:
        """Where the invocations of every revision are, at one instant."""
        return {ref: places.counts for ref, places in (await census.places(self)).items()}


def finished(answer: list[Any]) -> Finished:
    """What a finish answered."""
    return Finished(answer[0] == 1, answer[1], answer[2], tuple(claims(answer[3:])))


def claims(flat: list[bytes]) -> list[Claim]:
    """What a claim answered."""
    return [Claim(flat[start + 1].decode(), _decode(flat[start + 2])) for start in range(0, len(flat), 3)]
