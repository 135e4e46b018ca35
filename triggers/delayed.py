"""What has come due goes back into its queue: retries whose backoff is over, and delayed invocations.

Redis holds what is due when, by its own clock, and moves it in one script: several schedulers do no harm, and what a
scheduler that dies has not moved, the next one moves.
"""

from __future__ import annotations

import asyncio
import logging

from faas.core import errors
from faas.queue import inlet, invocations, retrying
from triggers import catalog

_log = logging.getLogger(__name__)

_AT_ONCE = 100
_LOOK_S = 0.25
_AWAY_S = 1.0


async def run(queue: invocations.Queue, stop: asyncio.Event) -> None:
    """Move what comes due until ``stop`` is set."""
    door = inlet.Inlet(queue)
    while not stop.is_set():
        await catalog.pause(stop, await _moved(door))


async def _moved(door: inlet.Inlet) -> float:
    """Move all that is due; how long to wait before the next look, in seconds."""
    try:
        while True:
            moved, next_ms = await door.call(lambda queue: retrying.move_due(queue, _AT_ONCE))
            if moved:
                _log.debug("due_again", extra={"count": moved})
            # A whole batch may have more behind it.
            if moved < _AT_ONCE:
                return min(_LOOK_S, _LOOK_S if next_ms is None else next_ms / 1000)
    except errors.Unavailable as error:
        _log.warning("due_waits_for_redis", extra={"reason": str(error)})
        return _AWAY_S
