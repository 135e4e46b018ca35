"""One node's runner, put together: what it is made of, its start, what it does again and again, and its end.

::

    starting (sweep, stock) ──► serving ──drain──► resting (attempts end) ──grace over──► what is left is taken over
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from faas.cluster import capacity, catalog, demand, machine
from faas.core import clock, errors, model
from faas.core import settings as settings_module
from faas.core.calls import dispatch
from faas.core.money import budgets
from faas.core.processes import living
from faas.queue import active, invocations, parking, printing
from faas.runtimes import installed
from faas.store import functions
from runners import attempt, holding, line, live_lines, membership, pool, refusing, seats, settle, stock, tending
from runners import lane as lanes_module
from runners import memory as memories
from runners.journal import leftovers, shipping, writer
from runners.sandbox import base

_JANITOR_S = 1.0
_SWEEP_EVERY_S = 5.0
_DRAIN_LOOK_S = 0.02
_NO_STOPS: Mapping[str, budgets.BudgetStop] = {}

_log = logging.getLogger(__name__)


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
    """A runner. It is the `faas.core.calls.dispatch.Dispatch` of the gateway beside it. Make it with `start`."""

    def __init__(
        self,
        settings: settings_module.Settings,
        engine: base.Engine,
        queue: invocations.Queue,
        store: functions.Functions,
        signals: demand.Demand,
        versions: catalog.Catalog,
    ) -> None:
        self.node = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.queue = queue
        memory_mb, node_count = settings.runners.memory_mb, settings.runners.node_count
        self._broker = machine.Broker(settings.data.root / "memory", machine.share_mb(memory_mb))
        self._part = self._broker.join(self.node) if engine.room is None else None
        self.memory = memories.Memory(memory_mb, node_count, self._part, engine.room)
        self.settler = settle.Settler(queue, self.node, settings.queues.max_unrecorded_bytes)
        self._settings = settings
        self._is_strict = settings.redis.is_strict
        self._engine = engine
        self._store = store
        self._signals = signals
        self._versions = versions
        self._version = -1
        self._stops = _NO_STOPS
        self._kept_ready: tuple[model.Revision, ...] = ()
        self._all_around = active.Round(queue)
        self._is_draining = False
        self._shipper = shipping.Shipper(queue, self.settler.heard)
        self._journal = self._open_journal(settings)
        prices = settings.prices
        place = attempt.NodeRates(
            self.node,
            prices.price_gb_s_micro,
            prices.price_request_nano,
            price_cpu_s_micro=prices.price_cpu_s_micro,
        )
        processors = memories.processors(engine.room, node_count)
        self._stock = stock.Stock(engine, settings.sandboxes, self.memory, processors)
        self._live_lines = live_lines.LiveLines(queue, settings.redis.redis_url)
        self._pool = self._make_pool(settings, place, engine)
        self._tasks = Tasks()
        self._refusals = refusing.Refusing(self.node, queue, versions, self._stock, self.settler)
        self._tender = self._make_tender(place, processors)
        self._parking = parking.Parking(settings.redis.redis_url)
        self._around = self._make_around(settings)
        self._membership = membership.Membership(
            queue, versions, self.node, settings.leases.lease_ms, settings.data.journals, self._state
        )

    def _open_journal(self, settings: settings_module.Settings) -> writer.Journal:
        journal = writer.Journal.open(
            settings.data.journals, self.node, most_bytes=settings.runners.max_journal_bytes, on_ended=self._shipper.add
        )
        self._shipper.attach(journal)
        return journal

    def _make_pool(
        self, settings: settings_module.Settings, place: attempt.NodeRates, code: pool.CodeSource
    ) -> pool.Pool:
        lease_s = settings.leases.lease_ms / 1000
        return pool.Pool(
            self._stock,
            code,
            self.memory,
            settings.sandboxes,
            lease_s,
            place,
            self._publish,
            self._print,
            self._live_lines,
        )

    def _make_tender(self, place: attempt.NodeRates, processors: int) -> tending.Tender:
        return tending.Tender(
            self.queue,
            self._signals,
            self._pool,
            self._stock,
            self.settler,
            place,
            self._use_seat,
            self._tasks,
            processors,
            self._refusals,
        )

    def _make_around(self, settings: settings_module.Settings) -> lanes_module.Around:
        return lanes_module.Around(
            node=self.node,
            queue=self.queue,
            parking=self._parking,
            journal=self._journal,
            settler=self.settler,
            budget=line.Budget(settings.runners.max_line_bytes),
            limits=line.LineLimits(calls=settings.queues.max_waiting, wait_ms=settings.queues.max_queue_wait_ms),
            can_hand_off=self.can_hand_off,
            end=self._pool.end,
            gives_up=self._pool.gives_up,
            is_short=self._tender.tend,
            is_stopped=lambda function: self.stop_of(function) is not None,
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
    ) -> Node:
        """Sweep what dead runners left, take the lease, and begin to read demand. Raises `errors.Unavailable`."""
        signals = await demand.Demand.open(settings.redis.redis_url, settings.redis.redis_prefix)
        versions = await catalog.Catalog.open(settings.redis.redis_url, settings.redis.redis_prefix)
        node = cls(settings, engine, queue, store, signals, versions)
        # Before anything is claimed, and not with the first look at the catalog.
        node._stops = await asyncio.to_thread(store.stops)
        await node._sweep()
        await active.find_missing(queue)
        await node._publish_runtimes()
        await node.renew()
        for name, work in (
            ("heartbeat", node._each_heartbeat(node.renew)),
            ("rounds", node._each_heartbeat(node._membership.reap, node._look_around, node._tidy)),
            ("others", node._each_heartbeat(node._refusals.look_at_others)),
            ("demand", node._tender.read()),
            ("stock", node._stock.keep()),
            ("engine", node._stock.watch()),
            ("keep alive", node._keep_alive()),
            ("link", node._keep_in_step()),
            ("sweep", node._keep_clean()),
            ("live lines", node._live_lines.listen()),
        ):
            node._tasks.create_task(work, name=name)
        return node

    # -- sync calls that reached this node

    def offer(self, invocation: model.Invocation, caller: dispatch.Caller) -> bool:
        """See `faas.core.calls.dispatch.Dispatch.offer`."""
        seat = self._pool.seats.get(invocation.ref)
        if seat is None or not seat.slots:
            self._refusals.check(seat)
        if seat is None or not seat.total or not self.can_hand_off():
            return False
        return seat.lane.offer(invocation, caller)

    def can_hand_off(self) -> bool:
        """Whether a hand-off would be written down. Redis may be away meanwhile.

        Whether its record would find room is asked by the lane (`settle.Settler.ledger_keeps_up`).
        """
        return self._journal.is_fit and not self._is_strict

    @contextlib.asynccontextmanager
    async def _use_seat(self, ref: str) -> AsyncIterator[seats.Seat | None]:
        """The seat of a revision, which stays as long as this block; None when nobody knows the revision."""
        seat = await self._find_seat(ref)
        if seat is None:
            yield None
            return
        with seat.in_use():
            yield seat

    async def _find_seat(self, ref: str) -> seats.Seat | None:
        seat = self._pool.seats.get(ref)
        if seat is not None or self._is_draining:
            return seat
        revision = await asyncio.to_thread(self._store.get, ref)
        if revision is None:
            return None
        await self.queue.prepare(ref)
        return self._pool.admit(seats.Seat(lanes_module.Lane(revision, self._around)))

    def _publish(self, seat: seats.Seat) -> None:
        capacity.publish(self.queue, self.node, seat.ref, seat.total)

    def _print(self, printed: model.Printed) -> None:
        """Bring what a sandbox printed between attempts to the ledger. It is in this node's log if that cannot be."""
        sent = printing.send(self.queue, printed, self._settings.queues.max_unrecorded_bytes)
        sent.add_done_callback(lambda sent: None if sent.cancelled() else sent.exception())

    # -- catalog

    async def adopt(
        self, version: int, revisions: Sequence[model.Revision], stops: Mapping[str, budgets.BudgetStop] = _NO_STOPS
    ) -> None:
        """The catalog has changed: slots of replaced revisions go as they fall idle. Says that it is known.

        What ``stops`` name begins no attempts; what of it waits in Redis is seen here when that is over.
        """
        self._version = version
        self._stops = stops
        for lane in self._pool.lanes.values():
            if (stop := self.stop_of(lane.revision.function)) is not None:
                lane.hold(budgets.refusal(lane.revision.function, stop, clock.now_ms()))
        self._pool.retire(revisions)
        self._stock.use(revisions)
        self._hold_ready(revisions)
        self._kept_ready = tuple(revision for revision in revisions if revision.config.prewarm)
        await self.renew()

    def stop_of(self, function: str) -> budgets.BudgetStop | None:
        """What keeps a function from running now."""
        stop = budgets.stop_of(self._stops, function)
        return stop if stop is not None and clock.now_ms() < stop.until_ms else None

    def _hold_ready(self, revisions: Sequence[model.Revision]) -> None:
        for revision in revisions:
            wanted = revision.config.prewarm
            seat = self._pool.seats.get(revision.ref)
            if wanted and (seat is None or seat.total < wanted):
                count = wanted - (seat.busy if seat else 0)
                self._tasks.create_task(self._tender.hold_ready(revision.ref, count), name=f"prewarm {revision.ref}")

    # -- what goes on beside the work

    async def renew(self) -> None:
        """Renew the lease. Raises `errors.Unavailable`."""
        await self._membership.renew()

    def _state(self) -> catalog.NodeState:
        return catalog.NodeState(
            catalog=self._version,
            host=socket.gethostname(),
            pid=os.getpid(),
            process=living.own(),
            memory_mb=self.memory.total_mb,
            engine=self._engine.name,
            can_start=self._stock.away is None,
            memory_used_mb=self.memory.used_mb,
            memory_peak_mb=self._pool.peak_mb(),
            sandboxes=self.report(),
            journal_bytes=self._journal.position - self._journal.mark,
            handed_off={ref: count for ref, lane in self._pool.lanes.items() if (count := lane.handed_off)},
        )

    async def _publish_runtimes(self) -> None:
        link, runtimes = self.queue.link, self.queue.keys.runtimes
        for name, told in map(installed.encode, self._engine.installed):
            if await link.call("HGET", runtimes, name) != told:  # a full Redis must not keep a node away
                await link.call("HSET", runtimes, name, told)

    async def _each_heartbeat(self, *steps: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                for step in steps:
                    await step()
            except errors.Unavailable as error:
                _log.debug("heartbeat_missed", extra={"reason": str(error)})
            await asyncio.sleep(self._settings.leases.heartbeat_ms / 1000)

    async def _look_around(self) -> None:
        """Whatever became of its signal, what waits is seen here; and so is what could not be settled before.

        Nothing is claimed while the ledger falls behind: that it keeps up again is found out here.
        """
        waited = (
            [lane for lane in self._pool.lanes.values() if not lane.may_claim()] if self.settler.ledger_lags else ()
        )
        await self.settler.ask()
        for lane in waited:
            if lane.may_claim():
                lane.claims.heard()
        if missing := await self._all_around.go_on():
            _log.warning("active_revisions_missed", extra={"revisions": missing})
        for ref in await active.waiting(self.queue):
            self._tender.tend(ref)
        self.settler.resend()

    async def _tidy(self) -> None:
        await holding.tidy(
            self.queue, self.node, self._settings.leases.lease_ms, self._pool.seats, lambda: self.settler.entries
        )

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_JANITOR_S)
            self._pool.keep_alive()
            self._hold_ready(self._kept_ready)

    async def _keep_clean(self) -> None:
        """Sweep by what is there, whatever became of the runners that it belongs to and of earlier sweeps."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            await self._sweep()

    async def _sweep(self) -> None:
        dead = self._broker.dead()
        try:
            swept = await self._engine.sweep()
        except base.EngineUnavailable as error:
            _log.debug("not_swept", extra={"reason": error.message})
            return
        self._broker.bury(dead)
        if swept:
            _log.info("sandboxes_swept", extra={"count": swept})

    async def _keep_in_step(self) -> None:
        """Whenever the link is back, tell Redis what this node holds, and claim what waits there."""
        back = asyncio.Event()
        self.queue.link.when_back(back.set)
        while True:
            self.queue.link.lost.add_done_callback(_say_away)
            await back.wait()
            back.clear()
            with contextlib.suppress(errors.Unavailable):  # lost again: it will be back again
                await self._back()
                _log.info("redis_back")

    async def _back(self) -> None:
        for seat in list(self._pool.seats.values()):
            await seat.lane.claims.renew()
            self._publish(seat)
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
        if self._part is not None:
            self._part.leave()
        self._parking.close()
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
                await self._shipper.shipped()
        except TimeoutError:
            busy = sum(lane.busy for lane in lanes_left)
            _log.warning("grace_over", extra={"running": busy, "unsettled": self.settler.left})

    async def _leave(self) -> None:
        """Leave what is still held to others. What is in the journal another node of this machine ships, if need be."""
        self._shipper.close()
        self._journal.close()
        try:
            await self._membership.leave()
            await leftovers.settle(self.queue, self._journal.folder.parent)
        except errors.Unavailable as error:
            _log.warning("left_without_goodbye", extra={"reason": str(error)})


def _say_away(_lost: object) -> None:
    _log.warning("redis_away", extra={"hint": "calls for which no slot is free here get 503 until it is back"})
