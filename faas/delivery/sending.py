"""Records of settled invocations, and messages, go from their outboxes to their destinations.

::

    in the outbox ──take──► being delivered ──ok──► put away
                               ▲       │ ├─for good, or too often, or too old──► written to SQL, put away
                               └─backoff─┘

Each outbox has one destination and a sender of its own, with room for `AT_ONCE` tries at once: one that is slow or away
holds up no other. What waits for its backoff stays in the outbox; the scheduler that took it says every few seconds
that it has it still. When it says so no longer, another scheduler takes it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from faas.core import clock, errors, groups, model, settings
from faas.core.calls import retry
from faas.delivery import courier, webhooks
from faas.queue import inlet, invocations, outbox
from faas.store import functions, undelivered

_log = logging.getLogger(__name__)

AT_ONCE = 8
"""Tries at once for one destination of one revision."""

MOST_HELD = 1_000
"""Records of one destination that one scheduler tries and lets wait for their backoff."""

_LOOK_S = 0.1
_AWAY_S = 1.0


async def run(
    chosen: settings.Settings,
    queue: invocations.Queue,
    store: functions.Functions,
    given_up: undelivered.UndeliveredRecords,
    stop: asyncio.Event,
) -> None:
    """Deliver until ``stop`` is set. What is under way then is left to whoever comes next.

    A scheduler says what it has as often as a node renews its lease, and has it as long as a lease holds.
    """
    door = inlet.Inlet(queue)
    async with webhooks.session(chosen.destinations.destination_timeout_ms) as client:
        deliveries = Deliveries(
            chosen.destinations, chosen.leases, door, courier.Courier(chosen, door, store, client), given_up
        )
        try:
            while not stop.is_set():
                await _pause(stop, await deliveries.look())
        finally:
            await deliveries.end()


class Deliveries:
    """The senders of one scheduler, which has a name of its own among all that ever ran."""

    def __init__(
        self,
        destinations: groups.Destinations,
        leases: groups.Leases,
        door: inlet.Inlet,
        by: courier.Courier,
        given_up: undelivered.UndeliveredRecords,
    ) -> None:
        self.door = door
        self.stale_ms = leases.lease_ms
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._destinations = destinations
        self._heartbeat_s = leases.heartbeat_ms / 1000
        self._courier = by
        self._given_up = given_up
        self._senders: dict[outbox.Outbox, Sender] = {}
        self._keep_at = 0.0

    async def look(self) -> float:
        """Take what there is room for; how long to wait before the next look, in seconds."""
        try:
            await self._fill()
            await self._keep()
        except errors.Unavailable as error:
            _log.warning("destinations_wait_for_redis", extra={"reason": error.message})
            return _AWAY_S
        return _LOOK_S

    async def _fill(self) -> None:
        filled = await self.door.call(outbox.lengths)
        for box in filled:
            if box not in self._senders:
                self._senders[box] = Sender(box, self._around())
            await self._senders[box].fill()
        # An outbox that is empty, and of which nothing is under way, needs no sender.
        self._senders = {box: sender for box, sender in self._senders.items() if sender.held or box in filled}

    async def _keep(self) -> None:
        # As often as nodes renew their leases: saying it at each look would be ten commands a second for every
        # outbox.
        if clock.steady_s() < self._keep_at:
            return
        for sender in self._senders.values():
            await sender.keep()
        self._keep_at = clock.steady_s() + self._heartbeat_s

    async def end(self) -> None:
        """Stop what is under way, and let others have it at once."""
        for sender in self._senders.values():
            await sender.end()

    def _around(self) -> SenderTools:
        return SenderTools(self.door, self.name, self.stale_ms, self.handle)

    async def handle(self, entry: outbox.Taken) -> int | None:
        """Try once: in how many ms to try again, None when it has left the outbox."""
        to, tried = await self._tried(entry)
        extra = {
            **_about(entry),
            "destination": courier.in_words(to) if to else None,
            "attempt": entry.attempt,
            "reason": tried.why,
        }
        if tried.verdict is webhooks.Verdict.DELIVERED:
            _log.debug("record_delivered", extra=extra)
        elif tried.verdict is webhooks.Verdict.LATER and not self._is_enough(entry):
            _log.warning("record_not_delivered_yet", extra=extra)
            return max(self._backoff_ms(entry), tried.after_ms)
        elif not await self._give_up(entry, to, tried.why):
            return self._backoff_ms(entry)
        elif isinstance(entry, outbox.Posted):
            _log.error("message_undelivered", extra={**extra, "body": entry.message.body.decode(errors="replace")})
        else:
            _log.error("record_undelivered", extra=extra)
        await self._put_away(entry)
        return None

    async def _tried(self, entry: outbox.Taken) -> tuple[model.Destination | None, webhooks.Tried]:
        to: model.Destination | None = None
        try:
            to = await self._courier.destination(entry)
            # A record without a destination is of one that was lost: then nobody knew whether there is one.
            return to, await self._courier.deliver(entry, to) if to else webhooks.DELIVERED
        except errors.Unavailable as error:
            return to, webhooks.Tried(webhooks.Verdict.LATER, error.message)
        except errors.FaasError as error:
            return to, webhooks.Tried(webhooks.Verdict.NEVER, error.message)
        except Exception:  # noqa: BLE001 - one record that makes us fail must not stop the others; it is given up in time
            _log.exception("delivery_failed", extra=_about(entry))
            return to, webhooks.Tried(webhooks.Verdict.LATER, "the platform failed to send it; see its log")

    def _is_enough(self, entry: outbox.Taken) -> bool:
        age_ms = clock.now_ms() - entry.since_ms
        return (
            entry.attempt >= self._destinations.destination_max_attempts
            or age_ms >= self._destinations.destination_max_age_ms
        )

    def _backoff_ms(self, entry: outbox.Taken) -> int:
        """Half of it at least: who is in trouble is left alone for a while."""
        draw = 0.5 + random.random() / 2  # noqa: S311 - spreads retries, hides nothing
        return retry.backoff_ms(entry.attempt, self._destinations.destination_backoff_ms, draw)

    async def _give_up(self, entry: outbox.Taken, to: model.Destination | None, why: str) -> bool:
        """Write it down where people find it; False while the database does not answer.

        A message is no record of an invocation, so it is found in the log only, whole.
        """
        if isinstance(entry, outbox.Posted):
            return True
        given_up = undelivered.Undelivered(
            invocation=entry.invocation,
            settled=msgspec.msgpack.encode(entry.settled),
            destination=courier.in_words(to) if to else "unknown",
            attempts=entry.attempt,
            reason=why,
            given_up_at_ms=clock.now_ms(),
        )
        try:
            await asyncio.to_thread(self._given_up.keep, given_up)
        except errors.Unavailable as error:
            _log.warning("undelivered_waits_for_the_database", extra={"reason": error.message})
            return False
        return True

    async def _put_away(self, entry: outbox.Taken) -> None:
        """Not before Redis is back: a record that is delivered must not be sent again."""
        is_away = False
        while not is_away:
            try:
                await self.door.call(lambda queue: outbox.put_away(queue, entry))
                is_away = True
            except errors.Unavailable:
                await asyncio.sleep(_AWAY_S)


class SenderTools(NamedTuple):
    """What a sender works with: the queue, its scheduler's name, since when others are gone, and how to try once."""

    door: inlet.Inlet
    name: str
    stale_ms: int
    handle: Callable[[outbox.Taken], Awaitable[int | None]]


class Sender:
    """What one scheduler delivers of one outbox."""

    def __init__(self, box: outbox.Outbox, of: SenderTools) -> None:
        self._box = box
        self._of = of
        self._room = asyncio.Semaphore(AT_ONCE)
        self._asleep = 0
        self.held: dict[str, asyncio.Task[None]] = {}

    async def fill(self) -> None:
        """Take as many as can be tried at once now. Raises `errors.Unavailable`."""
        awake = len(self.held) - self._asleep
        # Those that sleep until their next try take no place of those that can be tried now, up to a bound on memory.
        room = min(AT_ONCE - awake, MOST_HELD - len(self.held))
        if room <= 0:
            return
        name, stale_ms = self._of.name, self._of.stale_ms
        for entry in await self._of.door.call(lambda queue: outbox.take(queue, self._box, name, room, stale_ms)):
            # What is given back as stale may be one that this scheduler has: Redis was away for longer than a lease.
            if entry.id not in self.held:
                task = asyncio.create_task(self._work(entry, entry.id), name=f"deliver {entry.id}")
                self.held[entry.id] = task
                task.add_done_callback(functools.partial(self._done, entry.id))

    def _done(self, entry_id: str, _task: asyncio.Task[None]) -> None:
        del self.held[entry_id]

    async def keep(self) -> None:
        """Say what is held still. Raises `errors.Unavailable`."""
        if held := list(self.held):
            await self._of.door.call(lambda queue: outbox.keep(queue, self._box, self._of.name, held))

    async def end(self) -> None:
        """Stop, and give back what is held."""
        held = dict(self.held)
        if not held:
            return
        for task in held.values():
            task.cancel()
        await asyncio.gather(*held.values(), return_exceptions=True)
        try:
            await self._of.door.call(lambda queue: outbox.let_go(queue, self._box, self._of.name, list(held)))
        except errors.Unavailable as error:
            # Then the next scheduler waits until they are stale.
            _log.warning("records_not_given_back", extra={"count": len(held), "reason": error.message})

    async def _work(self, entry: outbox.Taken | None, entry_id: str) -> None:
        """Try until it has left the outbox. While it waits, its content is in Redis only."""
        while True:
            async with self._room:
                entry = entry or await self._again(entry_id)
                if entry is None:
                    return
                after_ms = await self._of.handle(entry)
                # Its content would be held for as long as the backoff, of as many as wait.
                entry = None
            if after_ms is None:
                return
            self._asleep += 1
            try:
                await asyncio.sleep(after_ms / 1000)
            finally:
                self._asleep -= 1

    async def _again(self, entry_id: str) -> outbox.Taken | None:
        """Take it once more; None when another scheduler has it."""
        while True:
            try:
                return await self._of.door.call(lambda queue: outbox.again(queue, self._box, self._of.name, entry_id))
            except errors.Unavailable:
                await asyncio.sleep(_AWAY_S)


def _about(entry: outbox.Taken) -> dict[str, Any]:
    """What a line of the log says it is about."""
    if isinstance(entry, outbox.Posted):
        return {"message_id": entry.message.id, "of": entry.message.of}
    return {"function": entry.invocation.function, "invocation_id": entry.invocation.id}


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
