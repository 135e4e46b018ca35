"""Calls that only a new sandbox could run, while none can be started: sync ones are told so soon, async ones wait on.

A call is refused when its revision has no slot anywhere, no prewarmed sandbox is left, the engine of this node has
failed for a while, and no other node says that it could start one.
"""

from __future__ import annotations

from faas.cluster import capacity, catalog
from faas.core import clock, errors, model
from faas.core.calls import unrun
from faas.queue import invocations
from runners import seats, settle, stock
from runners import slot as slots
from runners.sandbox import base

REFUSED_AFTER_S = 1.0
"""For how long an engine may fail before what waits is refused: one that starts again is back within that, often."""

_AT_ONCE = 100


class Refusing:
    """Refuses on behalf of one node."""

    def __init__(
        self,
        node: str,
        queue: invocations.Queue,
        versions: catalog.Catalog,
        stock: stock.Stock,
        settler: settle.Settler,
    ) -> None:
        self._node = node
        self._queue = queue
        self._versions = versions
        self._stock = stock
        self._settler = settler
        self._others_can_start = True
        self._failing_since: dict[str, float] = {}

    def check(self, seat: seats.Seat | None) -> None:
        """Raise `errors.NothingRuns` for a sync call that would wait in vain; ``seat`` is its revision's."""
        why = self._stock.away
        if (
            why is not None
            and (seat is None or not seat.slots)
            and not self._others_can_start
            and not self._stock.ready
        ):
            raise _refusal(why)

    async def look_at_others(self) -> None:
        """Find out, while this node can start no sandbox, whether another one can. Raises `errors.Unavailable`."""
        if self._stock.away is None:
            self._others_can_start = True  # as long as nobody has asked
            return
        others = (await self._versions.nodes()).items()
        self._others_can_start = any(state.can_start for name, state in others if name != self._node)

    async def refuse(self, seat: seats.Seat, load: capacity.Need) -> None:
        """Tell who waits for a revision, if it is in vain and has been for a while. Raises `errors.Unavailable`."""
        why = self._stock.away
        if why is None or self._may_run(seat, load):
            self.forget(seat.ref)
            return
        since = self._failing_since.setdefault(seat.ref, clock.steady_s())
        if clock.steady_s() - since < REFUSED_AFTER_S:
            return
        refusal = _refusal(why)
        seat.lane.line.refuse(refusal)
        if load.waiting_sync:
            await self._settle(seat, min(load.waiting_sync, _AT_ONCE), refusal.message)

    def forget(self, ref: str) -> None:
        """Forget a revision for which nothing waits any more."""
        self._failing_since.pop(ref, None)

    def _may_run(self, seat: seats.Seat, load: capacity.Need) -> bool:
        ready = self._stock.ready_for(self._stock.kind(seat.revision.config))
        return bool(seat.slots or ready) or load.slots > seat.total or self._others_can_start

    async def _settle(self, seat: seats.Seat, count: int, why: str) -> None:
        refused = []
        for claim in await self._queue.claim(self._node, seat.ref, count):
            if claim.invocation.mode is model.Mode.ASYNC:  # sync ones were fewer than they had been a moment before
                await self._queue.release(claim)
                continue
            record = unrun.not_started(claim.invocation, seat.revision.config.memory_mb, clock.now_ms(), why)
            refused.append((claim, slots.Ended(claim.invocation, record, model.Outcome(record=record, body=b"null"))))
        if refused:
            self._settler.settle(seat.revision, refused, 0, lambda _: None)


def _refusal(why: base.EngineUnavailable) -> errors.NothingRuns:
    message = f"no sandbox can be started: {why.message}"
    return errors.NothingRuns(message, hint="see `faas doctor`", type="Platform.NoSandbox")
