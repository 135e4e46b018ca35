"""The control API's way to Redis: it sends invocations, awaits their outcomes and asks where everything is.

Its links are opened at the first use and again after Redis was away. A Redis that is there and silent (stopped, or
swapping) is as good as none: whoever asks is told so instead of waiting with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from faas.cluster import catalog
from faas.core import clock, errors, groups, model
from faas.queue import calls as queue_calls
from faas.queue import (
    census,
    destined,
    guards,
    idempotency,
    invocations,
    kept_results,
    lag,
    outbox,
    replies,
    skips,
    unfit,
    whereabouts,
)

_ANSWERS_WITHIN_S = 5
_SILENT_MS = 3_000
"""For how long an answer may be due before nobody else waits for one. A busy Redis is late too, so it is not short."""


class Calls:
    """The queue, the reply stream and the catalog's channel of this process."""

    def __init__(
        self, redis: groups.Redis, queues: groups.Queues, results: groups.Results, versions: catalog.Catalog
    ) -> None:
        self._redis = redis
        self._queues = queues
        self._results = results
        self._opening = asyncio.Lock()
        self._queue: invocations.Queue | None = None
        self._replies: replies.Replies | None = None
        self._catalog = versions

    @classmethod
    async def open(cls, redis: groups.Redis, queues: groups.Queues, results: groups.Results) -> Calls:
        """The links of one control API; none connects before it is used."""
        return cls(redis, queues, results, await catalog.Catalog.open(redis.redis_url, redis.redis_prefix))

    async def places(self) -> dict[str, census.Places]:
        """Where the invocations of every revision are, at one instant. Raises `errors.Unavailable`."""
        async with _answered():
            counted = await census.places(await self.queue())
            nodes = await self._catalog.nodes()
            return census.with_handed_off(counted, [said.handed_off for said in nodes.values()])

    async def active_places(self) -> dict[str, census.Places]:
        """Where the invocations of those revisions are whose queues hold something: it costs what is at work."""
        async with _answered():
            counted = await census.active_places(await self.queue())
            nodes = await self._catalog.nodes()
            return census.with_handed_off(counted, [said.handed_off for said in nodes.values()])

    async def latency_s(self) -> float:
        """How long Redis takes over one small answer. Raises `errors.Unavailable`."""
        async with _answered():
            queue = await self.queue()
            begun = clock.steady_s()
            await queue.link.call("PING")
            return clock.steady_s() - begun

    async def unrecorded_bytes(self) -> int:
        """Bytes of records that wait for the ledger. Raises `errors.Unavailable`."""
        async with _answered():
            return await census.unrecorded_bytes(await self.queue())

    async def kept_results(self) -> kept_results.KeptResults:
        """What Redis keeps of results and answers. Raises `errors.Unavailable`."""
        async with _answered():
            return await kept_results.kept_results(await self.queue())

    async def sink_lags_ms(self) -> dict[str, int]:
        """For how long each sink's oldest record has waited for it. Raises `errors.Unavailable`."""
        async with _answered():
            return await lag.of_sinks(await self.queue())

    async def nodes(self) -> dict[str, catalog.NodeState]:
        """The nodes whose lease holds. Raises `errors.Unavailable`."""
        async with _answered():
            return await self._catalog.nodes()

    async def announce(self, version: int) -> None:
        """Tell every node of a new version of the catalog. Raises `errors.Unavailable`."""
        async with _answered():
            await self._catalog.announce(version)

    async def queue(self) -> invocations.Queue:
        """The queue over an open link. Raises `errors.Unavailable`."""
        async with _answered(), self._opening:
            if self._queue is None:
                self._queue = await invocations.Queue.of(self._redis, self._queues, self._results)
            # Under the lock: callers that come together after a loss open one link.
            await self._queue.reopen()
            # Otherwise each would wait its own five seconds behind those that wait already.
            if self._queue.link.silent_ms() > _SILENT_MS:
                raise errors.Unavailable("Redis is connected and says nothing", hint="see `faas doctor`")
            return self._queue

    async def send(self, invocation: model.Invocation, delay_ms: int = 0) -> None:
        """Accept an async invocation. Raises `errors.Throttled` or `errors.Unavailable`."""
        async with _answered():
            await (await self.queue()).enqueue(invocation, delay_ms=delay_ms)

    async def send_all(self, invocations: Sequence[model.Invocation], delay_ms: int) -> list[errors.FaasError | None]:
        """Accept many; for each None, or why it was not accepted. Raises `errors.Unavailable` when none was."""
        async with _answered():
            answers = await (await self.queue()).enqueue_all(invocations, delay_ms=delay_ms)
        return [answer if isinstance(answer, errors.FaasError) else None for answer in answers]

    async def send_guarded(self, invocation: model.Invocation, guard: guards.Guard) -> None:
        """Send an invocation, unless its guard says that this was done before."""
        async with _answered():
            await (await self.queue()).enqueue(invocation, guard)

    async def put_back(self, settled: destined.Settled, invocation: model.Invocation, given_up_at_ms: int) -> None:
        """Put a record into its outbox again, unless this was just done. Raises `errors.Unavailable`."""
        async with _answered():
            await outbox.put_back(await self.queue(), settled, invocation, given_up_at_ms)

    async def outboxes(self) -> dict[outbox.Outbox, int]:
        """How many records wait for each destination. Raises `errors.Unavailable`."""
        async with _answered():
            return await outbox.lengths(await self.queue())

    async def unfit(self, buckets: Iterable[str]) -> dict[str, unfit.Told]:
        """What lies in buckets and cannot become an event. Raises `errors.Unavailable`."""
        async with _answered():
            return await unfit.of(await self.queue(), buckets)

    async def skipped(self) -> dict[str, int]:
        """How many due times timers skipped, by function. Raises `errors.Unavailable`."""
        async with _answered():
            return await skips.counts(await self.queue())

    async def forget_guard(self, key: str, field: str) -> None:
        """Forget that it was done. Raises `errors.Unavailable`."""
        async with _answered():
            await guards.drop(await self.queue(), key, field)

    async def send_once(self, asked: idempotency.KeyedCall, invocation: model.Invocation, delay_ms: int) -> str:
        """Send one with an idempotency key; the id of the invocation that has it. Raises `errors.KeyReused` too."""
        return await idempotency.accept(await self.queue(), asked, invocation, delay_ms=delay_ms)

    async def outcome_once(
        self, asked: idempotency.KeyedCall, invocation: model.Invocation, config: model.FunctionConfig
    ) -> model.Outcome:
        """`outcome` with an idempotency key: that of the first call that had it. Raises `errors.KeyReused` too."""
        within_ms = self._queues.max_queue_wait_ms + config.timeout_ms
        run = functools.partial(self.outcome, invocation, config)
        # Not within `_answered`: the first call that has the key may run for as long as its function.
        return await idempotency.answer(await self.queue(), asked, invocation.id, run, within_ms=within_ms)

    async def find(self, invocation_id: str) -> whereabouts.Whereabouts | None:
        """Where an async invocation is. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.find(await self.queue(), invocation_id)

    async def unsettled(self, function: str, most: int) -> list[whereabouts.Unsettled]:
        """Some of a function's invocations that are not settled. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.unsettled(await self.queue(), function, most)

    async def unrecorded(self, function: str) -> list[model.Record]:
        """Some of a function's records that the ledger may not have yet. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.unrecorded(await self.queue(), function)

    async def of_chain(self, root_id: str) -> whereabouts.ChainLook:
        """What of a chain is not settled, or not delivered. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.of_chain(await self.queue(), root_id)

    async def unrecorded_of_chain(self, root_id: str) -> list[model.Record]:
        """Some of a chain's records that the ledger may not have yet. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.unrecorded_of_chain(await self.queue(), root_id)

    async def cancel(self, invocation: model.Invocation, packed: bytes, record: model.Record) -> bool:
        """Take one out that has not begun; False when it has moved on. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.cancel(await self.queue(), invocation, packed, record)

    async def make_due(self, invocation: model.Invocation) -> bool:
        """Let one that is due later be due now; False when it is not. Raises `errors.Unavailable`."""
        async with _answered():
            return await whereabouts.make_due(await self.queue(), invocation)

    async def outcome(self, invocation: model.Invocation, config: model.FunctionConfig) -> model.Outcome:
        """Accept a sync invocation and await its outcome; when its caller goes, what still waits is settled.

        Raises `errors.TimedOut` when nothing ran it in time, `errors.Throttled` or `errors.Unavailable`.
        """
        queue = await self.queue()
        answers = await self._answers()
        invocation = msgspec.structs.replace(invocation, reply_to=answers.address)
        return await queue_calls.outcome(
            queue,
            answers,
            invocation,
            memory_limit_mb=config.memory_mb,
            within_ms=self._queues.max_queue_wait_ms + config.timeout_ms,
        )

    async def _answers(self) -> replies.Replies:
        async with _answered(), self._opening:
            if self._replies is None:
                self._replies = await replies.Replies.open(self._redis.redis_url, self._redis.redis_prefix)
            await self._replies.reopen()
            return self._replies

    async def close(self) -> None:
        """Drop every link; whoever still waits gets `errors.Unavailable`."""
        if self._replies is not None:
            await self._replies.close()
        if self._queue is not None:
            self._queue.close()
        await self._catalog.close()


@contextlib.asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    """Raise `errors.Unavailable` when what is asked of Redis is not answered in time."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            yield
    except TimeoutError as error:
        raise errors.Unavailable(
            f"Redis has not answered within {_ANSWERS_WITHIN_S} s", hint="see `faas doctor`"
        ) from error
