"""What Redis says that this node holds, beside what it does hold: told apart when a connection broke in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from faas.cluster import capacity, leases
from faas.core import clock
from faas.queue import active, invocations
from runners import seats

_log = logging.getLogger(__name__)


async def tidy(
    queue: invocations.Queue,
    node: str,
    lease_ms: int,
    held: Mapping[str, seats.Seat],
    unsettled: Callable[[], Collection[str]],
) -> None:
    """Publish how many slots there are, and give back the claims that Redis made for this node and it never heard of.

    ``unsettled`` gives the entries of what has ended here and Redis may not know yet. Raises `errors.Unavailable`.
    """
    capacity.publish_all(queue, node, {ref: seat.total for ref, seat in held.items()}, lease_ms)
    began_at = clock.steady_s()
    with_work = await active.refs(queue)
    for ref, seat in list(held.items()):
        looked_at = began_at
        # A queue that holds nothing has no claims: the many that are warm and idle are not asked about.
        if ref in with_work:
            looked_at = clock.steady_s()
            await _give_back(queue, node, lease_ms, seat, unsettled)
        seat.tidied_at = looked_at


async def _give_back(
    queue: invocations.Queue, node: str, lease_ms: int, seat: seats.Seat, unsettled: Callable[[], Collection[str]]
) -> None:
    for claim in await leases.claims_since(queue, node, seat.ref, lease_ms):
        # Looked at now, not before the answer: an attempt may have ended meanwhile and its end been refused.
        if claim.entry in unsettled() or not seat.lane.disown(claim.entry):
            continue
        if await queue.release(claim):
            _log.warning("unheard_claim_released", extra={"invocation_id": claim.invocation.id})
