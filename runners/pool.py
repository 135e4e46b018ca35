"""Which sandboxes exist on a node, and for which revision: make, evict, keep.

::

    stock ──claim──► loading ──loaded──► slot (idle ◄──► busy) ──keep-alive over, evicted, retired──► closed
    nothing ──start──► loading ──import failed──► closed
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from faas.core import model, settings
from runners import attempt, keepalive, naps, shares
from runners import lane as lanes
from runners import memory as memories
from runners import slot as slots
from runners import stock as stocks
from runners.sandbox import base

_RETIRED_KEPT_MS = 1_000
_STARTS_AHEAD = 2
"""Times as many starts as go on at a time have their memory: those, and as many that are next."""

_log = logging.getLogger(__name__)


class Code(Protocol):
    """Where unpacked artifacts come from; `faas.artifacts.Artifacts` is one."""

    def unpack(self, digest: str) -> Path:
        """The folder of an artifact; blocks. Raises `errors.NotFound` and `errors.Unavailable`."""


class Room(msgspec.Struct, frozen=True, eq=False):
    """Memory promised to a slot that has no sandbox yet, or the one out of the stock that is to be its."""

    prewarmed: base.Sandbox | None


class Pool:
    """The sandboxes of one node that hold revisions."""

    def __init__(
        self,
        stock: stocks.Stock,
        code: Code,
        memory: memories.Memory,
        limits: settings.Settings,
        place: attempt.Place,
        seen_naps: naps.Naps,
        publish: Callable[[lanes.Lane], None],
    ) -> None:
        self.lanes: dict[str, lanes.Lane] = {}
        self._stock = stock
        self._code = code
        self._memory = memory
        self._limits = limits
        self._place = place
        self._naps = seen_naps
        self._publish = publish
        self._hungry: dict[str, lanes.Lane] = {}
        self._rooms: set[Room] = set()
        self._current: dict[str, int] = {}
        self._slots_of: collections.Counter[str] = collections.Counter()
        self._closing: set[asyncio.Task[None]] = set()

    def admit(self, lane: lanes.Lane) -> lanes.Lane:
        """The lane of a revision: this one, unless there is one already."""
        admitted = self.lanes.setdefault(lane.ref, lane)
        self._mark(admitted)
        return admitted

    def report(self) -> dict[str, int]:
        """How many sandboxes are in each state."""
        all_slots = [slot for lane in self.lanes.values() for slot in lane.slots]
        busy = sum(slot.is_busy for slot in all_slots)
        loading = sum(lane.making for lane in self.lanes.values())
        found = {
            "prewarmed": self._stock.ready,
            "starting": self._stock.starting,
            "loading": max(loading - self._stock.starting, 0),
            "idle": len(all_slots) - busy,
            "busy": busy,
        }
        return {state: count for state, count in found.items() if count}

    def may_ever_fit(self, lane: lanes.Lane) -> bool:
        """Whether the node's memory is enough for one slot of the revision, were there nothing else."""
        return lane.revision.config.memory_mb <= self._memory.total_mb

    async def make(
        self, lane: lanes.Lane, room: Room, is_wanted: Callable[[], bool] = lambda: True
    ) -> base.Loaded | None:
        """Add a slot to the lane; what its load answered, or None when there was no more need, or more elsewhere.

        Raises `base.EngineUnavailable`, `base.SandboxLost`, and what unpacking the code raises.
        """
        sandbox, kind = room.prewarmed, model.ColdStart.PREWARMED
        held = False
        try:
            begun = slots.now_ms()
            code = await asyncio.to_thread(self._code.unpack, lane.revision.artifact)
            if sandbox is None:
                kind = model.ColdStart.FULL
                sandbox = await self._started(lane, is_wanted)
            if sandbox is None:
                return None
            self._rooms.discard(room)  # it has started, and the next may have its place
            loaded = await sandbox.load(lane.revision, code)
            if loaded.error is None:
                held = True
                self._add(lane, sandbox, attempt.Birth(kind, begun, slots.now_ms()))
            return loaded
        finally:
            self._rooms.discard(room)
            lane.making -= 1
            if not held:
                self._memory.take_back(lane.revision.config.memory_mb)
                if sandbox is not None:
                    self._close(sandbox)
            self._publish(lane)

    async def _started(self, lane: lanes.Lane, is_wanted: Callable[[], bool]) -> base.Sandbox | None:
        function = lane.revision.function
        started = await self._stock.start(
            lane.revision.config.network,
            lambda: is_wanted() and not self._owes_room(lane),
            (function, lane.ref),
            lambda: (self._slots_of[function], len(lane.slots)),
        )
        if started is None or is_wanted():
            return started
        await self._stock.add(started)
        return None

    def _add(self, lane: lanes.Lane, sandbox: base.Sandbox, birth: attempt.Birth) -> None:
        slot = slots.Slot(sandbox, lane.revision, birth, self._place, self._naps, lane)
        sandbox.on_closed(lambda _: self._gone(lane, slot))
        if slot.is_open:  # else it died on the way here
            self._slots_of[lane.revision.function] += 1
            lane.add(slot)

    def _gone(self, lane: lanes.Lane, slot: slots.Slot) -> None:
        if slot.is_open:
            lane.remove(slot)
            self._slots_of[lane.revision.function] -= 1
            self._memory.take_back(lane.revision.config.memory_mb)
            self._publish(lane)

    def discard(self, lane: lanes.Lane, slot: slots.Slot) -> None:
        """End a slot; its memory is free at once."""
        self._gone(lane, slot)
        self._close(slot.sandbox)

    def _close(self, sandbox: base.Sandbox) -> None:
        task = asyncio.get_running_loop().create_task(sandbox.close(), name=f"close {sandbox.id}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # -- room

    def take_room(self, lane: lanes.Lane) -> Room | None:
        """Room for one slot, if need be in place of the stock and of idle slots of others, those idle longest first.

        It is to be passed to `make`. None when there is none, when another revision comes first, or when so many
        sandboxes are about to be started that memory would be held long before it is used.
        """
        held = shares.Shares(self.lanes.values())
        idle = held.idle_for(lane, slots.now_ms())
        idle_mb = [other.revision.config.memory_mb for other, _ in idle]
        room_mb = self._memory.free_mb + sum(self._stock.held_mb()) + sum(idle_mb)
        network, wanted_mb = lane.revision.config.network, lane.revision.config.memory_mb
        if not held.is_next(lane, self._hungry.values(), room_mb, self._places(network)):
            return None
        # Its memory is free from now on, so where there is little it is part of what the revision gets.
        room = Room(self._stock.claim(network))
        self._rooms.add(room)
        found = memories.evictions(wanted_mb, self._memory.free_mb, self._stock.held_mb(), idle_mb)
        for _ in range(found.stock):
            self._close(self._stock.give_up())
        for other, slot in idle[: found.idle]:
            _log.info("evicted", extra={"revision": other.ref, "for": lane.ref, "sandbox": slot.sandbox.id})
            self.discard(other, slot)
        self._memory.promise(wanted_mb)
        lane.making += 1
        self._publish(lane)
        if self._hungry.pop(lane.ref, None) is not None:
            self._hungry[lane.ref] = lane  # if it waits for more, then behind those that have waited meanwhile
        return room

    def _places(self, network: model.Network) -> int:
        to_start = sum(room.prewarmed is None for room in self._rooms)
        return self._stock.ready_for(network) + _STARTS_AHEAD * self._stock.at_once - to_start

    # -- fair share

    def ask_for_room(self, lane: lanes.Lane) -> None:
        """The revision waits and there is no room: what comes free is for it, and who has more gives up a slot."""
        self._hungry.setdefault(lane.ref, lane)
        self._say_what_is_awaited()
        if self._memory.free_mb >= lane.revision.config.memory_mb:
            return  # another comes first, and this one when that has what it needs
        giver = shares.Shares(self.lanes.values()).giver(lane, slots.now_ms())
        if giver is not None:
            giver.gives_up = 1
            _log.info("gives_up_a_slot", extra={"revision": giver.ref, "for": lane.ref})

    def _owes_room(self, lane: lanes.Lane) -> bool:
        """Whether the memory of a slot that is not begun yet is rather another's, who waits and has less even then."""
        if self._memory.free_mb >= self._memory.awaited_mb:
            return False
        return shares.Shares(self.lanes.values()).owes(lane, self._hungry.values())

    def has_enough(self, lane: lanes.Lane) -> None:
        """The revision waits for no room any more."""
        self._hungry.pop(lane.ref, None)
        self._say_what_is_awaited()
        if not self._hungry:
            for other in self.lanes.values():
                other.gives_up = 0

    def _say_what_is_awaited(self) -> None:
        self._memory.awaited_mb = sum(lane.revision.config.memory_mb for lane in self._hungry.values())

    # -- keep-alive

    def retire(self, current: Iterable[model.Revision]) -> None:
        """Mark the lanes of revisions that a newer one, or nothing, has replaced."""
        self._current = {revision.function: revision.number for revision in current}
        for lane in self.lanes.values():
            self._mark(lane)

    def _mark(self, lane: lanes.Lane) -> None:
        number = self._current.get(lane.revision.function)
        lane.was_current = lane.was_current or number == lane.revision.number
        # A pending revision, which a deploy loads to try it, is newer than the current one, if there is any.
        lane.is_retired = lane.was_current if number is None else lane.revision.number < number

    def keep_alive(self) -> None:
        """Close slots that have been idle for longer than their revision's calls come apart."""
        now = slots.now_ms()
        for ref, lane in list(self.lanes.items()):
            keep_ms = self._keep_ms(lane)
            kept = 0 if lane.is_retired else lane.revision.config.prewarm
            for slot in sorted(lane.idle, key=lambda slot: slot.idle_since_ms):
                if len(lane.slots) <= kept or now - slot.idle_since_ms < keep_ms:
                    break
                self.discard(lane, slot)
            if lane.is_retired and lane.total == 0 and lane.users == 0:
                del self.lanes[ref]

    def _keep_ms(self, lane: lanes.Lane) -> int:
        if lane.is_retired:
            return _RETIRED_KEPT_MS
        return keepalive.keep_ms(lane.gaps_ms, least_ms=self._limits.keep_min_ms, most_ms=self._limits.keep_max_ms)

    async def close(self) -> None:
        """End every slot, and what was to become one."""
        for room in self._rooms:
            if room.prewarmed is not None:
                self._close(room.prewarmed)
        for lane in self.lanes.values():
            for slot in list(lane.slots):
                self.discard(lane, slot)
        while self._closing:
            await asyncio.wait(self._closing)
