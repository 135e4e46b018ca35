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

The scripts' headers in ``scripts/`` say what each does; this module only names their keys and packs their arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec

from faas.core import errors, model
from faas.core import settings as settings_module
from faas.queue import destined, fsync
from faas.queue import keys as keyring
from faas.queue import link as links

_SCRIPTS = (
    "prepare", "enqueue", "refuse", "handoff", "claim", "finish", "release", "abandon", "counts", "look", "settle_lost",
    "forget", "retry", "due", "held",
    "find", "cancel", "unsettled", "once", "answered",
    "holders", "bury",
    "outboxes", "take_out", "take_again", "keep_out", "put_away", "put_back", "pass_on",
)  # fmt: skip


_PAGE = 100


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What makes an enqueue happen once: a field of a Redis hash, set in the same script.

    A plain guard refuses when the field already holds ``value`` (an object's version); a ``monotonic`` one refuses when
    the integer it holds is not smaller (a timer's due time).
    """

    key: str
    field: str
    value: str
    monotonic: bool = False


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait: per revision and mode, and in all queues together (there with what runs from them)."""

    sync: int = 10_000
    asynchronous: int = 1_000_000
    total: int = 2_000_000
    total_bytes: int = 512 * 1024 * 1024


class Held(msgspec.Struct, frozen=True):
    """What all queues hold, counted entry by entry, and what the counter of the bounds says of it."""

    entries: int
    bytes: int
    counted_entries: int
    counted_bytes: int

    @property
    def is_right(self) -> bool:
        """Whether the counter says the truth."""
        return (self.entries, self.bytes) == (self.counted_entries, self.counted_bytes)


class Once(msgspec.Struct, frozen=True):
    """The idempotency key that an async invocation was claimed with, and for how long it stands for it."""

    name: str
    keep_ms: int


class Claim(msgspec.Struct, frozen=True):
    """A claimed invocation, and the stream entry by which it is finished or released."""

    entry: str
    invocation: model.Invocation


class Finished(msgspec.Struct, frozen=True):
    """The answer to a finish: False in ``settled`` means that the lease had lapsed and nothing happened.

    ``left`` counts what waits still for the revision, ``claims`` is the work claimed along with it.
    """

    settled: bool
    left: int
    claims: tuple[Claim, ...]


class Load(msgspec.Struct, frozen=True):
    """What waits for a revision, and how many slots exist or are being made for it on all living nodes."""

    waiting_sync: int
    waiting_async: int
    slots: int


class Places(msgspec.Struct, frozen=True):
    """Where the invocations of one revision are, and for how long the oldest that waits has been waiting."""

    counts: model.Counts
    oldest_waiting_ms: int


class Keeping(msgspec.Struct, frozen=True):
    """How long the outcomes of async invocations are kept, how many at most, and how large a result may be."""

    for_ms: int = 600_000
    most: int = 100_000
    result_bytes: int = 65_536


class Queue:
    """The queues of one platform over one link. Every method raises `errors.Unavailable` when Redis is away.

    After a loss `reopen` gives the same queue a new link, so whoever holds the queue goes on using it.
    """

    def __init__(
        self,
        redis_url: str,
        link: links.Link,
        keys: keyring.Keys,
        digests: dict[str, str],
        bounds: Bounds,
        keeping: Keeping,
        synced: fsync.Fsync | None,
    ) -> None:
        self.keys = keys
        self.link = link
        self._redis_url = redis_url
        self._digests = digests
        self._bounds = bounds
        self._fsync = synced
        self._limits = {model.Mode.SYNC: bounds.sync, model.Mode.ASYNC: bounds.asynchronous}
        self.keeping = keeping
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(model.Invocation).decode

    @classmethod
    async def connect(
        cls,
        redis_url: str,
        prefix: str,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        *,
        keeping: Keeping = Keeping(),  # noqa: B008 - frozen
        strict: bool = False,
    ) -> Queue:
        """Open a link, load the scripts, and check that what Redis holds is of a format this platform knows."""
        keys = keyring.Keys(prefix)
        link, digests = await _opened(redis_url, keys)
        return cls(redis_url, link, keys, digests, bounds, keeping, fsync.Fsync(redis_url, keys) if strict else None)

    @classmethod
    async def of(cls, settings: settings_module.Settings) -> Queue:
        """`connect`, as the settings say."""
        bounds = Bounds(
            sync=settings.max_waiting,
            asynchronous=settings.max_waiting_async,
            total=settings.max_waiting_total,
            total_bytes=settings.max_waiting_bytes,
        )
        keeping = Keeping(settings.keep_results_ms, settings.max_kept_results, settings.max_kept_result_bytes)
        strict = settings.durability == "strict"
        return await cls.connect(settings.redis_url, settings.redis_prefix, bounds, keeping=keeping, strict=strict)

    async def reopen(self) -> None:
        """Replace a link that was lost. Raises `errors.Unavailable` while Redis does not answer."""
        self.link, self._digests = await _opened(self._redis_url, self.keys)

    def close(self) -> None:
        """Drop the link."""
        self.link.close()
        if self._fsync is not None:
            self._fsync.close()

    def run(self, script: str, keys: tuple[str, ...], *args: str | bytes | int) -> asyncio.Future[Any]:
        """Run one of the scripts. For the other modules of this room."""
        return self.link.call("EVALSHA", self._digests[script], len(keys), *keys, *args)

    async def enqueue(
        self, invocation: model.Invocation, guard: Guard | None = None, *, delay_ms: int = 0, once: Once | None = None
    ) -> str | None:
        """Accept an invocation; its stream entry, or None when its guard says that this was done before.

        An async one may be due only after ``delay_ms``, and has no entry ('') until then. Raises `errors.Throttled`
        when as many wait as may.
        """
        ref, mode = invocation.ref, invocation.mode
        other = model.Mode.ASYNC if mode is model.Mode.SYNC else model.Mode.SYNC
        names = self.keys
        guard = guard or Guard(key="none", field="", value="")
        asked = mode is model.Mode.ASYNC
        answer = await self.run(
            "enqueue",
            (
                names.queue(ref, mode),
                names.queue(ref, other),
                names.refs,
                names.counts(ref),
                names.demand,
                names.demanded(ref),
                names.guard(guard.key),
                names.held,
                *((names.call(invocation.id), names.retrying, names.retrying_of(ref)) if asked else ()),
                *((names.once(once.name),) if once else ()),
            ),
            ref,
            self._encode(invocation),
            self._limits[mode],
            guard.field,
            guard.value,
            int(guard.monotonic),
            self._bounds.total,
            self._bounds.total_bytes,
            *((invocation.id, delay_ms) if asked else ()),
            *((once.keep_ms,) if once else ()),
        )
        self._refuse_what_is_too_much(answer, ref, mode)
        if self._fsync is not None and mode is model.Mode.ASYNC:
            await self._fsync.wait()
        return answer[1].decode() if answer[0] == b"ok" else None

    def _refuse_what_is_too_much(self, answer: list[Any], ref: str, mode: model.Mode) -> None:
        if answer[0] == b"full":
            raise errors.Throttled(
                f"{answer[1]} {mode} invocations of {ref} are waiting", limit=self._limits[mode], function=ref
            )
        if answer[0] == b"entries":
            raise errors.Throttled(f"{answer[1]} invocations are in the queues", limit=self._bounds.total)
        if answer[0] == b"bytes":
            raise errors.Throttled(
                f"the invocations in the queues have {answer[1]} bytes", limit=self._bounds.total_bytes
            )
        if answer[0] == b"lapsed":
            raise errors.Unavailable("this took too long for the idempotency key to hold", hint="try again")

    async def refuse(
        self,
        invocation: model.Invocation,
        record: model.Record,
        guard: Guard,
        settled: destined.Settled | None = None,
    ) -> bool:
        """Accept an invocation that shall not run and settle it with its record; False when this was done before.

        The guard must be a plain one. ``settled`` is for its destination, when it has one.
        """
        ref, names = invocation.ref, self.keys
        answer = await self.run(
            "refuse",
            (
                *self._queues(ref),
                names.refs,
                names.counts(ref),
                names.records,
                names.guard(guard.key),
                *((names.held, *self._outbox(settled)) if settled else ()),
            ),
            ref,
            self._encode(record),
            "dead" if record.dead else "done",
            guard.field,
            guard.value,
            self._encode(invocation),
            *((self._encode(settled), settled.outbox) if settled else ()),
        )
        return bool(answer == 1)

    def abandon(self, entry: str, invocation: model.Invocation, record: model.Record) -> asyncio.Future[Any]:
        """Settle a waiting call whose caller has gone; 0 when a node has claimed it, which then runs it to its end.

        Sent before it returns, so that a task that is being cancelled need not await it.
        """
        ref = invocation.ref
        names = (self.keys.queue(ref, invocation.mode), self.keys.counts(ref), self.keys.records, self.keys.held)
        return self.run("abandon", names, entry, self._encode(record))

    def hand_off(self, node: str, invocation: model.Invocation) -> None:
        """Write down that a node runs this call without its having been queued. Sent, and not awaited."""
        # Two plain commands in one write cost Redis a fraction of a script, and this is on the path of every warm call.
        tell = self.link.tell
        tell("HSET", self.keys.running(node), hand_off_field(invocation), self._stub(invocation))
        tell("HINCRBY", self.keys.counts(invocation.ref), "accepted", 1)

    async def hand_off_again(self, node: str, invocation: model.Invocation) -> None:
        """Write it down if it is not, when it is not known whether the first time reached Redis."""
        names = (self.keys.running(node), self.keys.counts(invocation.ref))
        await self.run("handoff", names, hand_off_field(invocation), self._stub(invocation))

    def _stub(self, invocation: model.Invocation) -> bytes:
        return self._encode(msgspec.structs.replace(invocation, event=b""))

    async def claim(self, node: str, ref: str, count: int) -> list[Claim]:
        """Claim up to ``count`` waiting invocations of a revision, sync ones first; empty when none waits."""
        return self.claims(await self.send_claim(node, ref, count))

    def send_claim(self, node: str, ref: str, count: int) -> asyncio.Future[Any]:
        """`claim`, sent before it returns; `claims` reads the answer."""
        return self.run("claim", self._queues(ref), node, count)

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
        return self.finished(await sent)

    async def finish_handed_off(
        self, invocation: model.Invocation, record: model.Record, *, node: str, claim_next: int = 0
    ) -> Finished:
        """Settle a call that was handed off; its caller has the answer from memory."""
        return self.finished(await self.send_finish(invocation, None, record, node=node, claim_next=claim_next))

    def send_finish(
        self,
        invocation: model.Invocation,
        entry: str | None,
        record: model.Record,
        *,
        node: str,
        reply: bytes = b"",
        claim_next: int = 0,
        settled: destined.Settled | None = None,
    ) -> asyncio.Future[Any]:
        """Either finish, sent before it returns; ``entry`` is None after a hand-off. `finished` reads the answer.

        ``settled`` is for the destination of an async one, when it has one.
        """
        ref = invocation.ref
        place = self.keys.running(node) if entry is None else self.keys.queue(ref, invocation.mode)
        asked = invocation.mode is model.Mode.ASYNC
        names = (
            place,
            self.keys.counts(ref),
            self.keys.records,
            self.keys.call(invocation.id) if asked else self.keys.reply(invocation.reply_to or "none"),
            *self._queues(ref),
            self.keys.held,
            *((self.keys.kept,) if asked else ()),
            *(self._outbox(settled) if asked and settled else ()),
        )
        return self.run(
            "finish",
            names,
            "async" if asked else "handoff" if entry is None else "queue",
            hand_off_field(invocation) if entry is None else entry,
            self._encode(record),
            "dead" if record.dead else "done",
            invocation.id,
            reply,
            node,
            claim_next,
            *((self.keeping.for_ms, self.keeping.most) if asked else ()),
            *((self._encode(settled), settled.outbox) if asked and settled else ()),
        )

    def send_retry(
        self, claim: Claim, record: model.Record, again: model.Invocation, after_ms: int
    ) -> asyncio.Future[Any]:
        """End an attempt with a record and let the invocation wait, as ``again``, until it is due.

        Sent before it returns; `finished` reads the answer.
        """
        ref = again.ref
        why = f"{record.error.type}: {record.error.message[:500]}" if record.error else str(record.status)
        return self.run(
            "retry",
            (
                self.keys.queue(ref, again.mode),
                self.keys.records,
                self.keys.retrying,
                self.keys.retrying_of(ref),
                *self._queues(ref),
                self.keys.held,
                *self._call(again),
            ),
            claim.entry,
            self._encode(record),
            again.id,
            self._encode(again),
            after_ms,
            f"{again.mode} {ref} {again.id}",
            why,
        )

    async def move_due(self, most: int = 100) -> tuple[int, int | None]:
        """Put what has come due back into its queue: how many, and in how many ms the next is due (None: never)."""
        moved, next_ms = await self.run("due", (self.keys.retrying, self.keys.demand), self.keys.prefix, most)
        return moved, None if next_ms < 0 else next_ms

    def finished(self, answer: list[Any]) -> Finished:
        """What a finish answered."""
        return Finished(answer[0] == 1, answer[1], tuple(self.claims(answer[2:])))

    async def prepare(self, ref: str) -> None:
        """Make a revision's queues, so that they can be read before anything was enqueued."""
        await self.run("prepare", (*self._queues(ref), self.keys.refs), ref)

    def publish_slots(self, node: str, ref: str, number: int) -> None:
        """Say how many slots a node has, or is making, for a revision. The lease bounds how long that is believed."""
        if number:
            self.link.tell("HSET", self.keys.slots(node), ref, number)
        else:
            self.link.tell("HDEL", self.keys.slots(node), ref)

    def publish_all_slots(self, node: str, numbers: Mapping[str, int], lease_ms: int) -> None:
        """Say it of every revision anew, whatever became of what was said before (Redis was away, or full)."""
        tell, slots = self.link.tell, self.keys.slots(node)
        tell("MULTI")
        tell("DEL", slots)
        if any(numbers.values()):
            tell("HSET", slots, *(part for ref, number in numbers.items() if number for part in (ref, number)))
            tell("PEXPIRE", slots, lease_ms)
        tell("EXEC")

    async def claims_since(self, node: str, ref: str, idle_ms: int) -> list[Claim]:
        """What a node claimed so long ago at least and has not settled."""
        found: list[Claim] = []
        for stream in self._queues(ref):
            held = await self.link.call("XPENDING", stream, keyring.GROUP, "IDLE", idle_ms, "-", "+", _PAGE, node)
            for entry, *_ in held:
                for _, pair in await self.link.call("XRANGE", stream, entry, entry):
                    found.append(Claim(entry.decode(), self._decode(pair[1])))
        return found

    async def release(
        self, claim: Claim, *, record: model.Record | None = None, again: model.Invocation | None = None
    ) -> bool:
        """Give a claimed invocation back; False when it was not claimed any more.

        ``record`` is the attempt that ended without an outcome (lost), ``again`` the invocation as it shall wait.
        """
        invocation = claim.invocation
        ref = invocation.ref
        answer = await self.run(
            "release",
            (
                self.keys.queue(ref, invocation.mode),
                self.keys.records,
                self.keys.demand,
                self.keys.demanded(ref),
                self.keys.held,
                *self._call(invocation),
            ),
            claim.entry,
            self._encode(again or invocation),
            self._encode(record) if record else b"",
            ref,
        )
        return bool(answer == 1)

    async def settle_lost(self, node: str, field: str, ref: str, record: model.Record) -> bool:
        """Settle a call that a dead node had been handed; False when it was settled before."""
        names = (self.keys.running(node), self.keys.counts(ref), self.keys.records)
        return bool(await self.run("settle_lost", names, field, self._encode(record)) == 1)

    async def forget(self, node: str, stream: str) -> bool:
        """Delete a dead node's consumer of a queue stream; False, and nothing done, while it holds entries."""
        return bool(await self.run("forget", (stream,), node) == 1)

    async def holders(self) -> list[str]:
        """The nodes that may hold claims or handed-off calls, alive or dead."""
        found = await self.run("holders", (self.keys.refs, self.keys.nodes), self.keys.prefix)
        return sorted(name.decode() for name in found)

    async def bury(self, node: str) -> bool:
        """Forget a dead node that has been taken over; False, and nothing done, when it is alive or holds calls."""
        names = self.keys
        held = (names.nodes, names.node(node), names.running(node), names.slots(node))
        return bool(await self.run("bury", held, node) == 1)

    async def look(self, ref: str) -> Load:
        """What waits for a revision and how many slots there are for it."""
        waiting_sync, waiting_async, slots = await self.run(
            "look", (*self._queues(ref), self.keys.nodes), self.keys.prefix, ref
        )
        return Load(waiting_sync, waiting_async, slots)

    async def held(self) -> Held:
        """What all queues hold, at one instant. It looks at every entry: seconds, when a million wait."""
        return Held(*await self.run("held", (self.keys.refs, self.keys.held), self.keys.prefix, 0))

    async def counts(self) -> dict[str, model.Counts]:
        """Where the invocations of every revision are, at one instant."""
        return {ref: places.counts for ref, places in (await self.places()).items()}

    async def places(self) -> dict[str, Places]:
        """The same, and the age of the oldest waiting invocation."""
        flat = await self.run("counts", (self.keys.refs, self.keys.nodes), self.keys.prefix)
        rows = [flat[start : start + 8] for start in range(0, len(flat), 8)]
        return {
            ref.decode(): Places(
                model.Counts(
                    accepted=accepted, waiting=waiting, running=running, retrying=retrying, done=done, dead=dead
                ),
                oldest_ms,
            )
            for ref, accepted, waiting, running, retrying, done, dead, oldest_ms in rows
        }

    async def guard_value(self, key: str, field: str) -> str | None:
        """What a guard's field holds."""
        held = await self.link.call("HGET", self.keys.guard(key), field)
        return held.decode() if held is not None else None

    async def guard_items(self, key: str) -> dict[str, str]:
        """Every field of a guard's hash."""
        flat = await self.link.call("HGETALL", self.keys.guard(key))
        texts = [item.decode() for item in flat]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    async def guard_set(self, key: str, field: str, value: str) -> None:
        """Set a guard without enqueueing (a timer that must not fire for the past)."""
        await self.link.call("HSET", self.keys.guard(key), field, value)

    async def guard_drop(self, key: str, field: str) -> None:
        """Forget a guard (an object was deleted)."""
        await self.link.call("HDEL", self.keys.guard(key), field)

    def _queues(self, ref: str) -> tuple[str, str]:
        return self.keys.queue(ref, model.Mode.SYNC), self.keys.queue(ref, model.Mode.ASYNC)

    def _outbox(self, settled: destined.Settled) -> tuple[str, str]:
        return self.keys.outbox(settled.record_ref, settled.way), self.keys.outboxes

    def _call(self, invocation: model.Invocation) -> tuple[str, ...]:
        return (self.keys.call(invocation.id),) if invocation.mode is model.Mode.ASYNC else ()

    def claims(self, flat: list[bytes]) -> list[Claim]:
        """What a claim answered."""
        return [Claim(flat[start + 1].decode(), self._decode(flat[start + 2])) for start in range(0, len(flat), 3)]


async def _opened(redis_url: str, keys: keyring.Keys) -> tuple[links.Link, dict[str, str]]:
    """A link, and the digests of the scripts, which Redis now has. Raises `errors.Conflict` for a foreign format."""
    link = await links.Link.open(redis_url)
    try:
        return link, await _prepared(link, keys)
    except BaseException:
        link.close()
        raise


async def _prepared(link: links.Link, keys: keyring.Keys) -> dict[str, str]:
    digests = {}
    for name in _SCRIPTS:
        source = resources.files("faas.queue").joinpath("scripts", f"{name}.lua").read_bytes()
        digests[name] = (await link.call("SCRIPT", "LOAD", source)).decode()
    await _brought_up(link, keys, digests["held"])
    return digests


async def _brought_up(link: links.Link, keys: keyring.Keys, held_digest: str) -> None:
    """Bring what Redis holds to our format. Raises `errors.Conflict` when it is a later one."""
    await link.call("SET", keys.format, keyring.FORMAT, "NX")
    found = (await link.call("GET", keys.format)).decode()
    if not found.isdecimal() or int(found) > int(keyring.FORMAT):
        raise errors.Conflict(
            f"Redis holds format {found}, this platform knows {keyring.FORMAT}", hint="use the newer faas"
        )
    await link.call("EVALSHA", held_digest, 2, keys.refs, keys.held, keys.prefix, 1)
    await link.call("SET", keys.format, keyring.FORMAT)


def hand_off_field(invocation: model.Invocation) -> str:
    """The field of a handed-off call in its node's running hash."""
    return f"{invocation.ref} {invocation.id}"
