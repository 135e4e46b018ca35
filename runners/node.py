"""One node's runner: its lease, its sandboxes and their work, from start to drain.

::

    starting (sweep, stock) ──► serving ──drain──► resting (attempts end) ──grace over──► what is left is taken over
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

import hiredis
import msgspec

from faas import artifacts, buckets
from faas.core import errors, living, model
from faas.core import settings as settings_module
from faas.queue import calls, capacity, catalog, census, demand, invocations, leases, parking, replies, watch
from faas.store import functions
from runners import attempt, naps, pool, settling, stock, tending
from runners import lane as lanes_module
from runners import memory as memories
from runners import slot as slots
from runners.sandbox import base

_SILENT_MS = 1_000
_JANITOR_S = 1.0
_SWEEP_EVERY_S = 5.0
_REOPEN_S = (0.05, 0.2, 0.5, 1.0)
_DRAIN_LOOK_S = 0.02

_log = logging.getLogger(__name__)


class Buckets:
    """The buckets that sandboxes may be shown, as the catalog has them now."""

    def __init__(self, root: settings_module.Settings) -> None:
        self._root = root.root
        self._folders: dict[str, buckets.BucketFolder] = {}

    def adopt(self, known: Sequence[model.Bucket]) -> None:
        """These are the buckets from now on."""
        self._folders = {
            bucket.name: buckets.BucketFolder(bucket.name, buckets.bucket_root(self._root, bucket)) for bucket in known
        }

    def sweep(self) -> int:
        """Remove what killed processes left in them; how many files. Blocks. Raises `errors.FaasError`."""
        return sum(folder.sweep() for folder in list(self._folders.values()) if folder.root.is_dir())

    def find(self, name: str) -> buckets.BucketFolder | None:
        """A bucket by its name."""
        return self._folders.get(name)


class Tasks:
    """Tasks of a node. One that fails says so in the log and costs nothing but its own work."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str | None = None) -> asyncio.Task[None]:
        """Run a coroutine beside the others."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("task_failed", extra={"task": task.get_name()}, exc_info=task.exception())

    async def cancel(self) -> None:
        """End all of them."""
        for task in self._running:
            task.cancel()
        while self._running:
            await asyncio.wait(self._running)


class Node:
    """A runner. It is the `faas.core.dispatch.Dispatch` of the gateway beside it. Make it with `start`.

    ``answers`` are the callers of the gateway in this process; None when there is none.
    """

    def __init__(
        self,
        settings: settings_module.Settings,
        engine: base.Engine,
        queue: invocations.Queue,
        store: functions.Functions,
        answers: replies.Replies | None,
        signals: demand.Demand,
        versions: catalog.Catalog,
    ) -> None:
        self.node = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.queue = queue
        self.parking = parking.Parking(settings.redis_url)
        self._naps = naps.Naps(settings.lease_ms)
        self.settler = settling.Settler(queue, self.node, answers, self._naps, settings.max_unrecorded_bytes)
        self._settings = settings
        self._answers = answers
        self._engine = engine
        self._store = store
        self._signals = signals
        self._versions = versions
        self._version = -1
        self._leased_until = 0.0
        self._beat_number = 0
        self._watch = watch.Watch(settings.lease_ms)
        self._current: tuple[model.Revision, ...] = ()
        self._is_draining = False
        place = attempt.Place(self.node, settings.price_gb_s_micro, settings.price_request_nano)
        self.memory = memories.Memory(settings.memory_mb)
        self._stock = stock.Stock(engine, settings, self.memory)
        code = artifacts.Artifacts(settings.root)
        self._pool = pool.Pool(self._stock, code, self.memory, settings, place, self._naps, self._publish)
        self._tasks = Tasks()
        self._tender = tending.Tender(
            queue, signals, self._pool, self._stock, self.settler, place, self._use_lane, self._tasks
        )

    def __repr__(self) -> str:
        return f"<Node {self.node} {self.report()}>"

    @property
    def lanes(self) -> Mapping[str, lanes_module.Lane]:
        """The revisions that this node has or had slots for."""
        return self._pool.lanes

    def report(self) -> dict[str, int]:
        """How many sandboxes are in each state."""
        return self._pool.report()

    @classmethod
    async def start(
        cls,
        settings: settings_module.Settings,
        engine: base.Engine,
        queue: invocations.Queue,
        store: functions.Functions,
        answers: replies.Replies | None,
    ) -> Node:
        """Sweep what dead runners left, take the lease, and begin to read demand. Raises `errors.Unavailable`."""
        signals = await demand.Demand.open(settings.redis_url, settings.redis_prefix)
        versions = await catalog.Catalog.open(settings.redis_url, settings.redis_prefix)
        node = cls(settings, engine, queue, store, answers, signals, versions)
        await node._sweep()
        await node._publish_runtime()
        await node.renew()
        for name, work in (
            ("naps", node._naps.watch()),
            ("heartbeat", node._each_heartbeat(node.renew)),
            ("rounds", node._each_heartbeat(node._reap, node._look_around, node._tidy)),
            ("demand", node._tender.read()),
            ("stock", node._stock.keep()),
            ("keep alive", node._keep_alive()),
            ("link", node._keep_link()),
            ("sweep", node._keep_clean()),
        ):
            node._tasks.create_task(work, name=name)
        return node

    # -- hand-off

    def offer(self, invocation: model.Invocation) -> asyncio.Future[model.Outcome] | None:
        """See `faas.core.dispatch.Dispatch.offer`."""
        lane = self._pool.lanes.get(invocation.ref)
        return lane.offer(invocation) if lane is not None and self.can_hand_off() else None

    # -- what lanes need

    def discard(self, lane: lanes_module.Lane, slot: slots.Slot) -> None:
        """See `lanes_module.Host.discard`."""
        self._pool.discard(lane, slot)

    def can_hand_off(self) -> bool:
        """See `lanes_module.Host.can_hand_off`. While Redis is silent or refuses to write nothing is handed off.

        Nor is it when the lease may have lapsed: whoever takes this node for dead looks but once at what it holds.
        """
        link = self.queue.link
        is_known = naps.awake_or_asleep_s() <= self._leased_until
        writes = link.is_open and link.silent_ms() <= _SILENT_MS and self.settler.redis_takes_all
        return is_known and writes and self.settler.ledger_keeps_up

    def enqueue(
        self, lane: lanes_module.Lane, invocation: model.Invocation, caller: asyncio.Future[model.Outcome]
    ) -> None:
        """See `lanes.Host.enqueue`."""
        self._tasks.create_task(self._enqueue(lane, invocation, caller), name=f"enqueue {invocation.id}")

    async def _enqueue(
        self, lane: lanes_module.Lane, invocation: model.Invocation, caller: asyncio.Future[model.Outcome]
    ) -> None:
        if self._answers is None:
            raise RuntimeError("only a gateway of this process hands calls off")
        config = lane.revision.config
        outcome = asyncio.ensure_future(
            calls.outcome(
                self.queue,
                self._answers,
                invocation,
                memory_limit_mb=config.memory_mb,
                within_ms=self._settings.max_queue_wait_ms + config.timeout_ms,
            )
        )
        caller.add_done_callback(lambda _: outcome.cancel())
        try:
            result = await outcome
        except errors.FaasError as error:
            if not caller.done():
                caller.set_exception(error)
        else:
            if not caller.done():
                caller.set_result(result)

    def short_of_slots(self, lane: lanes_module.Lane) -> None:
        """See `lanes_module.Host.short_of_slots`."""
        self._tender.tend(lane.ref)

    @contextlib.asynccontextmanager
    async def _use_lane(self, ref: str) -> AsyncIterator[lanes_module.Lane | None]:
        """The lane of a revision, which stays as long as this block; None when nobody knows the revision."""
        lane = await self._find_lane(ref)
        if lane is None:
            yield None
            return
        with lane.in_use():
            yield lane

    async def _find_lane(self, ref: str) -> lanes_module.Lane | None:
        lane = self._pool.lanes.get(ref)
        if lane is not None or self._is_draining:
            return lane
        revision = await asyncio.to_thread(self._store.get, ref)
        if revision is None:
            return None
        await self.queue.prepare(ref)
        return self._pool.admit(lanes_module.Lane(revision, self))

    def _publish(self, lane: lanes_module.Lane) -> None:
        capacity.publish(self.queue, self.node, lane.ref, lane.total)

    # -- catalog

    async def adopt(self, version: int, revisions: Sequence[model.Revision]) -> None:
        """The catalog has changed: slots of replaced revisions go as they fall idle. Says that it is known."""
        self._version = version
        self._pool.retire(revisions)
        self._hold_ready(revisions)
        self._current = tuple(revisions)
        await self.renew()

    def _hold_ready(self, revisions: Sequence[model.Revision]) -> None:
        for revision in revisions:
            wanted = revision.config.prewarm
            lane = self._pool.lanes.get(revision.ref)
            if wanted and (lane is None or lane.total < wanted):
                count = wanted - (lane.busy if lane else 0)
                self._tasks.create_task(self._tender.hold_ready(revision.ref, count), name=f"prewarm {revision.ref}")

    # -- what goes on beside the work

    async def renew(self) -> None:
        """Renew the lease. Raises `errors.Unavailable`."""
        self._beat_number += 1
        state = catalog.NodeState(
            catalog=self._version,
            host=socket.gethostname(),
            pid=os.getpid(),
            memory_mb=self.memory.total_mb,
            memory_used_mb=self.memory.used_mb,
            sandboxes=self.report(),
            beat=self._beat_number,
            process=living.own(),
        )
        until = naps.awake_or_asleep_s() + self._settings.lease_ms / 1000
        await self._versions.renew(self.node, state, self._settings.lease_ms)
        self._leased_until = until

    async def _publish_runtime(self) -> None:
        told = msgspec.json.encode({"machine": platform.machine()})
        link, runtimes = self.queue.link, self.queue.keys.runtimes
        if await link.call("HGET", runtimes, self._engine.python) != told:  # a full Redis must not keep a node away
            await link.call("HSET", runtimes, self._engine.python, told)

    async def _each_heartbeat(self, *steps: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                for step in steps:
                    await step()
            except (errors.Unavailable, hiredis.HiredisError) as error:
                _log.debug("heartbeat_missed", extra={"reason": str(error)})
            await asyncio.sleep(self._settings.heartbeat_ms / 1000)

    async def _reap(self) -> None:
        for dead, lease in (await self._watch.dead(self.queue)).items():
            taken = await leases.take_over(self.queue, dead, lease)
            _log.warning("node_taken_over", extra={"dead": dead, "invocations": taken})

    async def _look_around(self) -> None:
        """Whatever became of its signal, what waits is seen here; and so is what could not be settled before.

        Nothing is claimed while the ledger falls behind: that it keeps up again is found out here.
        """
        had_room = self.settler.may_begin
        self.settler.unrecorded_bytes = await census.unrecorded_bytes(self.queue)
        if self.settler.may_begin and not had_room:
            for lane in self._pool.lanes.values():
                lane.wake()
        for ref, counts in (await self.queue.counts()).items():
            if counts.waiting:
                self._tender.tend(ref)
        self.settler.resend()

    async def _tidy(self) -> None:
        """Put right what Redis may have missed of this node, or this node of Redis, when the connection broke."""
        lease_ms = self._settings.lease_ms
        numbers = {lane.ref: lane.total for lane in self._pool.lanes.values()}
        capacity.publish_all(self.queue, self.node, numbers, lease_ms)
        for lane in list(self._pool.lanes.values()):
            for claim in await leases.claims_since(self.queue, self.node, lane.ref, lease_ms):
                # Looked at now, not before the answer: an attempt may have ended meanwhile and its end been refused.
                if claim.entry in self.settler.entries or not lane.disown(claim.entry):
                    continue
                if await self.queue.release(claim):
                    _log.warning("unheard_claim_released", extra={"invocation_id": claim.invocation.id})

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_JANITOR_S)
            self._pool.keep_alive()
            self._hold_ready(self._current)

    async def _keep_clean(self) -> None:
        """Sweep by what is there, whatever became of the runners that it belongs to and of earlier sweeps."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            await self._sweep()

    async def _sweep(self) -> None:
        try:
            swept = await self._engine.sweep()
        except base.EngineUnavailable as error:
            _log.debug("not_swept", extra={"reason": error.message})
            return
        if swept:
            _log.info("sandboxes_swept", extra={"count": swept})

    async def _keep_link(self) -> None:
        """Open the link again whenever it is lost."""
        while True:
            await asyncio.shield(self.queue.link.lost)
            _log.warning("redis_away", extra={"hint": "calls are answered with 503 until it is back"})
            tries = 0
            while not self.queue.link.is_open:
                try:
                    await self.queue.reopen()
                    await self._back()
                except (errors.Unavailable, hiredis.HiredisError):
                    await asyncio.sleep(_REOPEN_S[min(tries, len(_REOPEN_S) - 1)])
                    tries += 1
            _log.info("redis_back")

    async def _back(self) -> None:
        for lane in list(self._pool.lanes.values()):
            await lane.renew()
            self._publish(lane)
        self.settler.resend()
        await self.renew()

    # -- the end

    async def drain(self, within_s: float) -> None:
        """Take no more work, let attempts end within so long, give back the rest, end every sandbox."""
        self._is_draining = True
        for lane in self._pool.lanes.values():
            lane.rest()
        await self._wait_until_settled(within_s)
        await self._tasks.cancel()
        await self._leave()
        await self._pool.close()
        await self._stock.close()
        self.parking.close()
        await self._signals.close()
        await self._versions.close()

    async def _wait_until_settled(self, within_s: float) -> None:
        lanes_left = list(self._pool.lanes.values())
        try:
            async with asyncio.timeout(within_s):
                for lane in lanes_left:
                    await lane.rested()
                # What is awaited are callbacks of attempts, each of which may start another step.
                while self.settler.left or any(lane.busy for lane in lanes_left):  # noqa: ASYNC110
                    await asyncio.sleep(_DRAIN_LOOK_S)
        except TimeoutError:
            busy = sum(lane.busy for lane in lanes_left)
            _log.warning("grace_over", extra={"running": busy, "unsettled": self.settler.left})

    async def _leave(self) -> None:
        """What this node still holds is another's now: the lease goes first, so that nobody believes in it."""
        try:
            await self.queue.link.call("DEL", self.queue.keys.node(self.node))
            await leases.take_over(self.queue, self.node)
        except (errors.Unavailable, hiredis.HiredisError) as error:
            _log.warning("left_without_goodbye", extra={"reason": str(error)})
