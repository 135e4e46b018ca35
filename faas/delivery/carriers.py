"""One try to bring a parcel to its destination. There is a carrier for each kind.

======== ======================================== ===========================================================
to       how                                      why it is harmless to do it twice
======== ======================================== ===========================================================
function moved into its queue in one script       what another scheduler moved is not in the outbox any more
bucket   written whole, under the id of what it   the same bytes under the same key
         is about
URL      POSTed, signed                           it is not: ``Faas-Delivery-Id`` is the same each time
======== ======================================== ===========================================================
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import aiohttp

from faas import buckets
from faas.core import clock, errors, model
from faas.core.calls import calling, lineage, tracing
from faas.core.http import headers
from faas.core.money import budgets
from faas.delivery import parcels, webhooks
from faas.queue import chains, inlet, outbox, secrets
from faas.store import functions


class Carrier(Protocol):
    """Delivers to destinations of one kind."""

    async def carry(self, taken: outbox.Taken, parcel: parcels.Parcel, to: Any) -> webhooks.Tried:
        """Try once, however often before.

        Raises `errors.Throttled` and `errors.Unavailable` for what may work later, any other `errors.FaasError` for
        what never will.
        """


class ToFunctions:
    """Moves a parcel from its outbox into the queue of a function's current revision, as its event."""

    def __init__(
        self, door: inlet.Inlet, store: functions.Functions, *, max_event_bytes: int, max_waiting: int
    ) -> None:
        self._max_event_bytes = max_event_bytes
        self._max_waiting = max_waiting
        self._door = door
        self._store = store

    async def carry(self, taken: outbox.Taken, parcel: parcels.Parcel, to: model.ToFunction) -> webhooks.Tried:
        """See `Carrier.carry`."""
        target = await asyncio.to_thread(self._store.current, to.function)
        if target is None:
            raise errors.NotFound(f"no function is called {to.function}", function=to.function)
        stops = await asyncio.to_thread(self._store.stops)
        budgets.refuse(target.function, budgets.stop_of(stops, target.function), clock.now_ms())
        # A record holds the event and the result: two that fit may be too large together.
        if len(parcel.body) > self._max_event_bytes:
            raise errors.TooLarge(f"the record has {len(parcel.body)} bytes, over {self._max_event_bytes}")
        invocation = invocation_of(parcel, target, clock.now_ms())
        too_deep = invocation.depth > chains.MAX_DEPTH
        refusal = chains.refusal(invocation, target.config) if too_deep else None
        await self._door.call(
            lambda queue: outbox.pass_on(queue, taken, invocation, most_waiting=self._max_waiting, refusal=refusal)
        )
        return webhooks.DELIVERED


class ToBuckets:
    """Writes a parcel as the object ``<prefix><of>/<about>.json``."""

    def __init__(self, open_bucket: buckets.Open, store: functions.Functions) -> None:
        self._open = open_bucket
        self._store = store

    async def carry(self, taken: outbox.Taken, parcel: parcels.Parcel, to: model.ToBucket) -> webhooks.Tried:
        """See `Carrier.carry`."""
        found = {bucket.name: bucket for bucket in await asyncio.to_thread(self._store.buckets)}
        if to.bucket not in found:
            raise errors.NotFound(f"there is no bucket {to.bucket}", bucket=to.bucket)
        bucket = self._open(found[to.bucket])
        key = f"{to.prefix}{parcel.of}/{parcel.about}.json"
        await asyncio.to_thread(buckets.put, bucket, key, parcel.body, buckets.Writer.of(parcel.cause))
        return webhooks.DELIVERED


class ToUrls:
    """POSTs a parcel, signed with the secret that its destination names or with that of the platform."""

    def __init__(self, secret: str, door: inlet.Inlet, client: aiohttp.ClientSession) -> None:
        self._secret = secret
        self._door = door
        self._client = client

    async def carry(self, taken: outbox.Taken, parcel: parcels.Parcel, to: model.ToUrl) -> webhooks.Tried:
        """See `Carrier.carry`."""
        secret = parcel.env.get(to.secret, "") if to.secret else self._secret
        if not secret:
            return webhooks.Tried(
                webhooks.Verdict.NEVER, "there is nothing to sign it with: destination_secret is not set"
            )
        fields = {
            "User-Agent": "faas",
            headers.DELIVERY_ID: parcel.id,
            headers.DELIVERY_ATTEMPT: str(parcel.attempt),
        }
        if parcel.cause is not None:
            fields[headers.INVOCATION_ID] = parcel.about
            chain = calling.after(parcel.cause)
            fields[headers.CHAIN] = lineage.mark(await self._door.call(secrets.chain), chain)
            fields.update(tracing.outgoing(parcel.cause))
        return await webhooks.post(self._client, to.url, parcel.body, secret=secret, headers=fields)


def invocation_of(parcel: parcels.Parcel, target: model.Revision, now_ms: int) -> model.Invocation:
    """The invocation of a destination that is a function."""
    return calling.invocation(
        target,
        id=parcel.id,
        way="destination",
        mode=model.Mode.ASYNC,
        event=parcel.body,
        at_ms=now_ms,
        chain=calling.after(parcel.cause) if parcel.cause else calling.FIRST,
    )
