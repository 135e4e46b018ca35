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
from typing import Protocol

import msgspec

from faas.core import clock, groups, model
from runners import attempt, keepalive, live_lines, seats, shares
from runners import lane as lanes
from runners import memory as memories
from runners import slot as slots
from runners import stock as stocks
from runners.sandbox import base

_RETIRED_KEPT_MS = 1_000
_STARTS_AHEAD = 2
"""Times as many starts as go on at a time have their memory: those, and as many that are next."""

_log = logging.getLogger(__name__)


class CodeSource(Protocol):
    """Who has the code of revisions at hand: the engine."""

    async def fetch(self, artifact: str) -> None:
        """See `base.Engine.fetch`."""


class Room(msgspec.Struct, frozen=True, eq=False):
    """Memory promised to a slot that has no sandbox yet, or the one out of the stock that is to be its."""

    prewarmed: base.Sandbox | None


class Pool:
    """The sandboxes of one node that hold revisions."""

    def __init__(
        self,
        stock: stocks.Stock,
        code: CodeSource,
        memory: memories.Memory,
        sandboxes: groups.Sandboxes,
        lease_s: float,
        place: attempt.NodeRates,
        publish: Callable[[seats.Seat], None],
        printed: Callable[[model.Printed], None],
        live: live_lines.LiveLines,
    ) -> None:
        """``printed`` takes what sandboxes print between attempts, ``live`` what is to be shown as it is printed."""
        self.seats: dict[str, seats.Seat] = {}
        self._stock = stock
        self._code = code
        self._memory = memory
        self._sandboxes = sandboxes
        self._lease_s = lease_s
        self._place = place
        self._publish = publish
        self._printed = printed
        self._live = live
        self._hungry: dict[str, seats.Seat] = {}
        self._rooms: set[Room] = set()
        self._current: dict[str, int] = {}
        self._slots_of: collections.Counter[str] = collections.Counter()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def lanes(self) -> dict[str, lanes.Lane]:
        """The revisions that the node has or had slots for."""
        return {ref: seat.lane for ref, seat in self.seats.items()}

    def has_prospect(self, ref: str) -> bool:
        """Whether a call for a revision may wait here: it has slots, or some are being made."""
        seat = self.seats.get(ref)
        return seat is not None and seat.total > 0

    def admit(self, seat: seats.Seat) -> seats.Seat:
        """The seat of a revision: this one, unless there is one already."""
        admitted = self.seats.setdefault(seat.ref, seat)
        self._mark(admitted)
        return admitted

    def report(self) -> dict[str, int]:
        """How many sandboxes are in each state."""
        all_slots = [slot for seat in self.seats.values() for slot in seat.slots]
        busy = sum(slot.is_busy for slot in all_slots)
        loading = sum(seat.making for seat in self.seats.values())
        found = {
            "prewarmed": self._stock.ready,
            "starting": self._stock.starting,
            "loading": max(loading - self._stock.starting, 0),
            "idle": len(all_slots) - busy,
            "busy": busy,
        }
        return {state: count for state, count in found.items() if count}

    def peak_mb(self) -> int:
        """The memory that the last attempts in all slots had at most, together."""
        return sum(slot.peak_mb for seat in self.seats.values() for slot in seat.slots)

    def may_ever_fit(self, seat: seats.Seat) -> bool:
        """Whether the node has the revision's language, and memory for one slot of it, were there nothing else."""
        config = seat.revision.config
        return config.memory_mb <= self._memory.total_mb and self._stock.has(self._stock.kind(config))

    async def make(
        self, seat: seats.Seat, room: Room, is_wanted: Callable[[], bool] = lambda: True
    ) -> base.Loaded | None:
        """Add a slot to a lane; what its load answered, or None when there was no more need, or more elsewhere.

        Raises `base.EngineUnavailable`, `base.SandboxLost`, and what fetching the code raises.
        """
        sandbox, kind = room.prewarmed, model.ColdStart.PREWARMED
        held = False
        try:
            begun = clock.now_ms()
            # Before a sandbox is started: an artifact that cannot be unpacked costs none.
            await self._code.fetch(seat.revision.artifact)
            marks = [base.Mark("fetch", clock.now_ms())]
            if sandbox is None:
                kind = model.ColdStart.FULL
                sandbox = await self._started(seat, is_wanted)
                marks += _made(sandbox)
            if sandbox is None:
                return None
            self._rooms.discard(room)  # it has started, and the next may have its place
            loaded = await sandbox.load(seat.revision)
            if loaded.error is None:
                held = True
                birth = attempt.Birth(kind, begun, clock.now_ms(), (*marks, *loaded.marks))
                self._add(seat, sandbox, birth)
            return loaded
        finally:
            self._rooms.discard(room)
            seat.making -= 1
            if not held:
                self._memory.take_back(seat.revision.config.memory_mb)
                if sandbox is not None:
                    self._close(sandbox)
            self._publish(seat)

    async def _started(self, seat: seats.Seat, is_wanted: Callable[[], bool]) -> base.Sandbox | None:
        function = seat.revision.function
        started = await self._stock.start(
            self._stock.kind(seat.revision.config),
            lambda: is_wanted() and not self._owes_room(seat),
            (function, seat.ref),
            lambda: (self._slots_of[function], len(seat.slots)),
        )
        if started is None or is_wanted():
            return started
        # The demand was met while it started. It holds no code yet, so anybody may have it.
        await self._stock.add(started)
        return None

    def _add(self, seat: seats.Seat, sandbox: base.Sandbox, birth: attempt.Birth) -> None:
        slot = slots.Slot(sandbox, seat.revision, birth, self._place)
        sandbox.on_closed(lambda _: self._gone(seat, slot))
        sandbox.on_output(lambda lines: self._printed(slot.printed(lines)))
        sandbox.show(self._live.of(slot, seat.revision.function))
        if slot.is_open:  # else it died on the way here
            self._slots_of[seat.revision.function] += 1
            seat.lane.add(slot)

    def _gone(self, seat: seats.Seat, slot: slots.Slot) -> None:
        if slot.is_open:
            seat.lane.remove(slot)
            self._slots_of[seat.revision.function] -= 1
            # At once, and not when the sandbox has gone: whoever waits would wait for the engine, too.
            self._memory.take_back(seat.revision.config.memory_mb)
            self._publish(seat)

    def end(self, ref: str, slot: slots.Slot) -> None:
        """End a slot of a revision whose sandbox may not be used again, or is for another."""
        self.discard(self.seats[ref], slot)

    def gives_up(self, ref: str) -> bool:
        """Whether a slot of the revision that has just come free is to be ended, for another that has less."""
        seat = self.seats[ref]
        if not seat.gives_up:
            return False
        seat.gives_up -= 1
        return True

    def discard(self, seat: seats.Seat, slot: slots.Slot) -> None:
        """End a slot; its memory is free at once."""
        self._gone(seat, slot)
        self._close(slot.sandbox)

    def _close(self, sandbox: base.Sandbox) -> None:
        task = asyncio.get_running_loop().create_task(sandbox.close(), name=f"close {sandbox.id}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # -- room

    def take_room(self, seat: seats.Seat) -> Room | None:
        """Room for one slot, if need be in place of the stock and of idle slots of others, those idle longest first.

        It is to be passed to `make`. None when there is none, when another revision comes first, or when so many
        sandboxes are about to be started that memory would be held long before it is used.
        """
        kind, wanted_mb = self._stock.kind(seat.revision.config), seat.revision.config.memory_mb
        if not self._stock.has(kind):  # nobody is to give up room for what cannot be started
            return None
        held = shares.Shares(self.seats.values())
        idle = held.idle_for(seat, clock.now_ms())
        idle_mb = [other.revision.config.memory_mb for other, _ in idle]
        room_mb = self._memory.free_mb + sum(self._stock.held_mb()) + sum(idle_mb)
        if not held.is_next(seat, self._hungry.values(), room_mb, self._places(kind)):
            return None
        # Its memory is free from now on, so where there is little it is part of what the revision gets.
        room = Room(self._stock.claim(kind))
        found = memories.evictions(wanted_mb, self._memory.free_mb, self._stock.held_mb(), idle_mb)
        for _ in range(found.stock):
            self._close(self._stock.give_up())
        for other, slot in idle[: found.idle]:
            _log.info("evicted", extra={"revision": other.ref, "for": seat.ref, "sandbox": slot.sandbox.id})
            self.discard(other, slot)
        if not self._memory.promise(wanted_mb):  # another party of this machine was quicker
            if room.prewarmed is not None:
                self._close(room.prewarmed)
            return None
        self._rooms.add(room)
        seat.making += 1
        self._publish(seat)
        if self._hungry.pop(seat.ref, None) is not None:
            self._hungry[seat.ref] = seat  # if it waits for more, then behind those that have waited meanwhile
        return room

    def _places(self, kind: stocks.Kind) -> int:
        to_start = sum(room.prewarmed is None for room in self._rooms)
        return self._stock.ready_for(kind) + _STARTS_AHEAD * self._stock.at_once - to_start

    # -- fair share

    def ask_for_room(self, seat: seats.Seat) -> None:
        """The revision waits and there is no room: what comes free is for it, and who has more gives up a slot."""
        self._hungry.setdefault(seat.ref, seat)
        self._say_what_is_awaited()
        if self._memory.free_mb >= seat.revision.config.memory_mb:
            return  # another comes first, and this one when that has what it needs
        giver = shares.Shares(self.seats.values()).giver(seat, clock.now_ms())
        if giver is not None:
            giver.gives_up = 1
            _log.info("gives_up_a_slot", extra={"revision": giver.ref, "for": seat.ref})

    def _owes_room(self, seat: seats.Seat) -> bool:
        """Whether the memory of a slot that is not begun yet is rather another's, who waits and has less even then."""
        if self._memory.free_mb >= self._memory.awaited_mb:
            return False
        return shares.Shares(self.seats.values()).owes(seat, self._hungry.values())

    def has_enough(self, seat: seats.Seat) -> None:
        """The revision waits for no room any more."""
        self._hungry.pop(seat.ref, None)
        self._say_what_is_awaited()
        if not self._hungry:
            for other in self.seats.values():
                other.gives_up = 0

    def _say_what_is_awaited(self) -> None:
        self._memory.awaited_mb = sum(seat.revision.config.memory_mb for seat in self._hungry.values())

    # -- keep-alive

    def retire(self, current: Iterable[model.Revision]) -> None:
        """Mark the seats of revisions that a newer one, or nothing, has replaced."""
        self._current = {revision.function: revision.number for revision in current}
        for seat in self.seats.values():
            self._mark(seat)

    def _mark(self, seat: seats.Seat) -> None:
        number = self._current.get(seat.revision.function)
        seat.was_current = seat.was_current or number == seat.revision.number
        # A pending revision, which a deploy loads to try it, is newer than the current one, if there is any.
        seat.is_retired = seat.was_current if number is None else seat.revision.number < number

    def keep_alive(self) -> None:
        """Close slots that have been idle for longer than their revision's calls come apart."""
        now = clock.now_ms()
        for ref, seat in list(self.seats.items()):
            keep_ms = self._keep_ms(seat)
            kept = 0 if seat.is_retired else seat.revision.config.prewarm
            for slot in sorted(seat.idle, key=lambda slot: slot.idle_since_ms):
                if len(seat.slots) <= kept or now - slot.idle_since_ms < keep_ms:
                    break
                self.discard(seat, slot)
            if seat.is_retired and seat.may_be_forgotten(self._lease_s):
                del self.seats[ref]

    def _keep_ms(self, seat: seats.Seat) -> int:
        if seat.is_retired:
            return _RETIRED_KEPT_MS
        return keepalive.keep_ms(
            seat.lane.gaps_ms, least_ms=self._sandboxes.keep_min_ms, most_ms=self._sandboxes.keep_max_ms
        )

    async def close(self) -> None:
        """End every slot, and what was to become one."""
        for room in self._rooms:
            if room.prewarmed is not None:
                self._close(room.prewarmed)
        for seat in self.seats.values():
            for slot in list(seat.slots):
                self.discard(seat, slot)
        while self._closing:
            await asyncio.wait(self._closing)


def _made(sandbox: base.Sandbox | None) -> list[base.Mark]:
    """The steps to a sandbox that has just been made from nothing: its turn had come when its start began."""
    if sandbox is None:
        return []
    now = clock.now_ms()
    return [base.Mark("turn", now - sandbox.started_ms), base.Mark("start", now)]
