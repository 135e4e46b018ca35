"""How invocations come in: through a queue, or to be settled at once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from faas.core import model
from faas.link import link as links
from faas.queue import bounds as limits
from faas.queue import destined, fsync, guards, together
from faas.queue import keys as keyring
from faas.queue import server as servers

_encode = msgspec.msgpack.Encoder().encode


class Once(msgspec.Struct, frozen=True):
    """The idempotency key that an async invocation was claimed with, and for how long it stands for it."""

    name: str
    keep_ms: int


class Entrance(servers.Server):
    """The side of a queue that accepts. Every method raises `errors.Unavailable` when Redis is away."""

    def __init__(
        self,
        link: links.Link,
        keys: keyring.Keys,
        bounds: limits.Bounds,
        synced: fsync.Fsync | None,
    ) -> None:
        super().__init__(link, keys)
        self._bounds = bounds
        self._together = together.Together(self, bounds)
        self._fsync = synced

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
        once: Once | None = None,
    ) -> str | None:
        """Accept an invocation; its stream entry, or None when its guard says that this was done before.

        An async one may be due only after ``delay_ms``, and has no entry ('') until then. Raises `errors.Throttled`
        when as many wait as may.
        """
        if guard is guards.NONE and not delay_ms and once is None:
            entry: str | None = await self._together.enqueue(invocation)
        else:
            entry = await self._enqueue_once(invocation, guard, delay_ms, once)
        if self._fsync is not None and invocation.mode is model.Mode.ASYNC:
            await self._fsync.wait()
        return entry

    async def _enqueue_once(
        self, invocation: model.Invocation, guard: guards.Guard, delay_ms: int, once: Once | None
    ) -> str | None:
        ref, mode = invocation.ref, invocation.mode
        asked = mode is model.Mode.ASYNC
        answer = await self.run(
            "enqueue_once",
            self._entrance_keys(invocation, guard, once),
            ref,
            _encode(invocation),
            self._bounds.waiting(mode),
            guard.field,
            guard.value,
            int(guard.monotonic),
            self._bounds.total,
            self._bounds.total_bytes,
            self._bounds.unrecorded_bytes,
            *((invocation.id, delay_ms) if asked else ()),
            *((once.keep_ms,) if once else ()),
        )
        limits.check(answer, self._bounds, ref, mode)
        return answer[1].decode() if answer[0] == b"ok" else None

    def _entrance_keys(self, invocation: model.Invocation, guard: guards.Guard, once: Once | None) -> tuple[str, ...]:
        names, ref, mode = self.keys, invocation.ref, invocation.mode
        asked = mode is model.Mode.ASYNC
        return (
            names.queue(ref, mode),
            names.queue(ref, model.Mode.SYNC if asked else model.Mode.ASYNC),
            names.refs,
            names.counts(ref),
            names.demand,
            names.demanded(ref),
            names.guard(guard.key),
            names.held,
            *((names.call(invocation.id), names.retrying, names.retrying_of(ref)) if asked else ()),
            *((names.once(once.name), names.answers) if once else ()),
        )

    async def refuse(
        self,
        invocation: model.Invocation,
        record: model.Record,
        guard: guards.Guard,
        settled: destined.Settled | None = None,
    ) -> bool:
        """Accept an invocation that shall not run and settle it with its record; False when this was done before.

        The guard must be a plain one. ``settled`` is for its destination, when it has one.
        """
        ref, names = invocation.ref, self.keys
        fixed = (*names.queues(ref), names.refs, names.counts(ref), names.records, names.guard(guard.key), names.held)
        answer = await self.run(
            "refuse",
            (*fixed, *(self.outbox(settled) if settled else ())),
            ref,
            _encode(record),
            "dead" if record.dead else "done",
            guard.field,
            guard.value,
            _encode(invocation),
            *((_encode(settled), settled.outbox) if settled else ()),
        )
        return bool(answer == 1)

    def outbox(self, settled: destined.Settled) -> tuple[str, str]:
        """The keys of the outbox that takes what was settled. For the modules of this room."""
        return self.keys.outbox(settled.record_ref, settled.way), self.keys.outboxes

    def abandon(self, entry: str, invocation: model.Invocation, record: model.Record) -> asyncio.Future[Any]:
        """Settle a waiting call whose caller has gone; 0 when a node has claimed it, which then runs it to its end.

        Sent before it returns, so that a task that is being cancelled need not await it.
        """
        ref = invocation.ref
        names = (self.keys.queue(ref, invocation.mode), self.keys.counts(ref), self.keys.records, self.keys.held)
        return self.run("abandon", names, entry, _encode(record))
