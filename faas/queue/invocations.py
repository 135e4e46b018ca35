"""The moves of an invocation between its places in Redis, each one atomic script.

::

    enqueue ──► waiting ──claim──► running ──finish──► done | dead
                ▲  ▲  │               │ │
                │  │  └─abandon─► done│ │
                │  └─────release──────┘ │
               due                      │
                └───── retrying ◄─retry─┘
    refuse, ship ──► done | dead

`faas.queue.together` and `faas.queue.accepting` send what comes in, `faas.queue.retrying` what waits until it is due,
`faas.queue.shipping` what nodes' journals bring; claims and their ends are here. The scripts' headers in ``scripts/``
say what each does; these modules only name their keys and pack their arguments.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence, Sized
from typing import Any

import msgspec

from faas.core import errors, groups, model
from faas.core.values import unreadable
from faas.link import link as links
from faas.queue import accepting, census, destined, fsync, guards, together
from faas.queue import bounds as limits
from faas.queue import keys as keyring
from faas.queue import server as servers

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(model.Invocation).decode

_MOST_AT_ONCE = 500
"""Finishes in one step. Lua can hand a command up to about 8,000 arguments, four for each reply."""

_MOST_BYTES_AT_ONCE = 2 * 1024 * 1024


class Claim(msgspec.Struct, frozen=True):
    """A claimed invocation, and the stream entry by which it is finished or released.

    ``size`` is how many bytes it has in Redis, 0 when that is not known here.
    """

    entry: str
    invocation: model.Invocation
    size: int = 0


class Finish(msgspec.Struct, frozen=True):
    """An attempt from the queue that is over and settles its invocation.

    ``reply`` is the msgpack of the `model.Outcome` that its caller gets (sync) or that is kept (async), b"" for none;
    ``settled`` is for its destination. ``size`` is that of its `Claim`; Redis looks for what is not known.
    """

    invocation: model.Invocation
    entry: str
    record: model.Record
    reply: bytes = b""
    settled: destined.Settled | None = None
    size: int = 0


class Finished(msgspec.Struct, frozen=True):
    """The answer to a batch: ``settled`` has one for each finish, False when its lease had lapsed and nothing happened.

    ``left`` counts what waits still for the revision, ``unrecorded_bytes`` what of records waits for the ledger, of all
    and of the function alone, ``claims`` is the work claimed along with it.
    """

    settled: tuple[bool, ...]
    left: int
    unrecorded_bytes: int
    own_unrecorded_bytes: int
    claims: tuple[Claim, ...]


class Queue(servers.RedisServer):
    """The queues of one platform over one link. Every method raises `errors.Unavailable` when Redis is away.

    Its link opens itself again after a loss, so whoever holds the queue goes on using it.
    """

    def __init__(
        self,
        link: links.Link,
        keys: keyring.Keys,
        bounds: limits.Bounds,
        keeping: limits.KeptOutcomes,
        synced: fsync.Fsync | None,
    ) -> None:
        super().__init__(link, keys)
        self.keeping = keeping
        self._bounds = bounds
        self._together = together.Together(self, bounds)
        self._fsync = synced

    @classmethod
    async def connect(
        cls,
        redis_url: str,
        prefix: str,
        bounds: limits.Bounds = limits.Bounds(),  # noqa: B008 - frozen
        *,
        keeping: limits.KeptOutcomes = limits.KeptOutcomes(),  # noqa: B008 - frozen
        strict: bool = False,
    ) -> Queue:
        """Open a link, load the scripts, and check that what Redis holds is of a format this platform knows."""
        keys = keyring.Keys(prefix)
        link = await servers.opened(redis_url, keys)
        return cls(link, keys, bounds, keeping, fsync.Fsync(redis_url, keys) if strict else None)

    @classmethod
    async def of(cls, redis: groups.Redis, queues: groups.Queues, results: groups.Results) -> Queue:
        """`connect`, as the settings say."""
        return await cls.connect(
            redis.redis_url,
            redis.redis_prefix,
            limits.Bounds.of(queues),
            keeping=limits.KeptOutcomes.of(results),
            strict=redis.is_strict,
        )

    def close(self) -> None:
        """Drop the link."""
        super().close()
        if self._fsync is not None:
            self._fsync.close()

    async def enqueue(
        self,
        invocation: model.Invocation,
        guard: guards.Guard = guards.NONE,
        *,
        delay_ms: int = 0,
        once: accepting.Once | None = None,
    ) -> str | None:
        """Accept an invocation; its stream entry, or None when its guard says that this was done before.

        An async one may be due only after ``delay_ms``, and has no entry ('') until then. Raises `errors.Throttled`
        when as many wait as may.
        """
        # As nearly all are: these go along with what else comes in this turn of the loop.
        if guard is guards.NONE and not delay_ms and once is None:
            entry: str | None = await self._together.enqueue(invocation)
        else:
            entry = await accepting.enqueue(self, self._bounds, invocation, guard, delay_ms, once)
        if self._fsync is not None and invocation.mode is model.Mode.ASYNC:
            await self._fsync.wait()
        return entry

    async def enqueue_all(
        self, invocations: Sequence[model.Invocation], *, delay_ms: int = 0
    ) -> list[str | errors.FaasError]:
        """`enqueue` for many plain ones: for each its entry ('' when it is due later), or why it was not accepted."""
        if delay_ms:
            asked = (accepting.enqueue(self, self._bounds, each, guards.NONE, delay_ms, None) for each in invocations)
            answers = await asyncio.gather(*asked, return_exceptions=True)
        else:
            # Futures, not tasks: a task for each costs the control API more than all the rest that it does for one.
            answers = await asyncio.gather(*map(self._together.enqueue, invocations), return_exceptions=True)
        if self._fsync is not None and any(each.mode is model.Mode.ASYNC for each in invocations):
            await self._fsync.wait()
        return [_told(answer) for answer in answers]

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
        """Settle one claimed invocation: `send_finishes` for a batch of one, and its answer."""
        batch = (Finish(claim.invocation, claim.entry, record, reply, settled, claim.size),)
        return finished(await self.send_finishes(claim.invocation.ref, node, batch, claim_next), batch)

    def send_finishes(self, ref: str, node: str, batch: Sequence[Finish], claim_next: int) -> asyncio.Future[Any]:
        """Settle claimed invocations of one revision and claim the next, in one step; sent before this returns.

        `finished` reads the answer. A batch may have some hundreds; one of many bytes leaves in several steps.
        """
        *before, last = _parts(batch)
        sent = [self._send_finishes(ref, node, part, 0) for part in before]
        sent.append(self._send_finishes(ref, node, last, claim_next))
        return sent[0] if len(sent) == 1 else asyncio.ensure_future(_joined(sent, [len(part) for part in before]))

    def _send_finishes(self, ref: str, node: str, batch: Sequence[Finish], claim_next: int) -> asyncio.Future[Any]:
        keys, keeping = self.keys, self.keeping
        return self.run(
            "finish",
            (
                *(*keys.queues(ref), keys.counts(ref), keys.records, keys.held, keys.kept),
                *(keys.outboxes, keys.outbox(ref, destined.SUCCESS), keys.outbox(ref, destined.FAILURE)),
                *(_told_at(keys, each.invocation) for each in batch),
            ),
            *(ref, node, claim_next, keeping.for_ms, keeping.most, keeping.most_bytes),
            *(part for each in batch for part in _packed(each)),
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
                keys.refs,
                *keys.call_of(invocation),
            ),
            claim.entry,
            _encode(again or invocation),
            _encode(record) if record else b"",
            ref,
            invocation.function,
            invocation.caller or "",
        )
        return bool(answer == 1)

    async def set_aside(self, stream: str, entry: str) -> None:
        """Move a claimed entry that is no invocation out of the way of those that are, and keep it for a person."""
        _log.error("unreadable_entry_set_aside", extra={"stream": stream, "entry": entry})
        await self.run("set_aside_entry", (stream, self.keys.unreadable), entry)

    async def counts(self) -> dict[str, model.Counts]:
        """Where the invocations of every revision are, at one instant."""
        return {ref: places.counts for ref, places in (await census.places(self)).items()}


def _told(answer: str | BaseException | None) -> str | errors.FaasError:
    """What became of one of many; whatever is no refusal is raised."""
    if isinstance(answer, BaseException) and not isinstance(answer, errors.FaasError):
        raise answer
    return answer or ""


def finished(answer: list[Any], batch: Sized) -> Finished:
    """What a batch of finishes was answered."""
    lapsed, left, unrecorded_bytes, claimed, own = answer
    settled = tuple(place not in lapsed for place in range(1, len(batch) + 1))
    return Finished(settled, left, unrecorded_bytes, own, tuple(claims(claimed)))


def claims(entries: list[list[Any]]) -> list[Claim]:
    """What a claim answered: entries of queue streams, as Redis gives them.

    One that is no invocation is left out. Its claim is found by `faas.cluster.leases`, as one that nobody heard of.
    """
    found = []
    for entry, fields in entries:
        try:
            # An entry has one field, `i`: the first of the two is its name.
            found.append(Claim(entry.decode(), _decode(fields[1]), len(fields[1])))
        except (*unreadable.ERRORS, LookupError) as error:
            _log.error("unreadable_entry", extra={"entry": entry.decode(), "reason": str(error)[:200]})
    return found


def _told_at(keys: keyring.Keys, invocation: model.Invocation) -> str:
    """The key that an invocation's outcome goes to."""
    if invocation.mode is model.Mode.ASYNC:
        return keys.call(invocation.id)
    # The script counts its keys by place, so there is one also where nobody waits for an answer.
    return keys.reply(invocation.reply_to or "none")


def _packed(finish: Finish) -> tuple[str | bytes | int, ...]:
    """One finish as the script takes it. Only who waits, or may ask, has an outcome; only async ones a destination."""
    invocation, record, settled = finish.invocation, finish.record, finish.settled
    if invocation.mode is model.Mode.SYNC:
        settled = None
    return (
        invocation.mode,
        finish.entry,
        finish.size,
        invocation.id,
        _encode(record),
        "dead" if record.dead else "done",
        finish.reply,
        settled.way if settled else "",
        _encode(settled) if settled else b"",
        invocation.caller or "",
    )


def _parts(batch: Sequence[Finish]) -> list[Sequence[Finish]]:
    """A batch in parts that Redis can take at once: one step for all of a part, in which nothing else happens."""
    if len(batch) <= _MOST_AT_ONCE and sum(map(_weight, batch)) <= _MOST_BYTES_AT_ONCE:
        return [batch]
    parts: list[list[Finish]] = [[]]
    weight = 0
    for finish in batch:
        weight += _weight(finish)
        if parts[-1] and (len(parts[-1]) == _MOST_AT_ONCE or weight > _MOST_BYTES_AT_ONCE):
            parts.append([])
            weight = _weight(finish)
        parts[-1].append(finish)
    return list(parts)


def _weight(finish: Finish) -> int:
    """About how many bytes a finish brings; of what is not counted there is little."""
    logged = sum(len(line.text) for line in finish.record.logs)
    return len(finish.reply) + logged + (len(finish.settled.body) if finish.settled else 0)


async def _joined(sent: Sequence[asyncio.Future[Any]], sizes: Sequence[int]) -> list[Any]:
    """The answers to the parts of a batch, as one: ``sizes`` are those of all but the last part."""
    answers = await asyncio.gather(*sent)
    starts = itertools.accumulate(sizes, initial=0)
    lapsed = [start + place for start, answer in zip(starts, answers, strict=True) for place in answer[0]]
    return [lapsed, *answers[-1][1:]]
