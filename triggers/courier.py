"""One try to bring the record of a settled invocation to its destination, and giving it up.

======== ======================================== ===========================================================
to       how                                      why it is harmless to do it twice
======== ======================================== ===========================================================
function moved into its queue in one script       what another scheduler moved is not in the outbox any more
bucket   written whole, under the invocation's id the same bytes under the same key
URL      POSTed, signed                           it is not: ``Faas-Delivery-Id`` is the same each time
======== ======================================== ===========================================================
"""

from __future__ import annotations

import asyncio
import base64

import aiohttp
import msgspec

from faas import buckets
from faas.core import calling, clock, errors, events, headers, ids, model, settings
from faas.queue import outbox
from faas.store import functions
from triggers import chains, inlet, webhooks

_MOST_KNOWN = 1_000
_LATER = webhooks.Verdict.LATER
_NEVER = webhooks.Verdict.NEVER


class Courier:
    """Delivers for one scheduler. Close its ``client`` after use."""

    def __init__(
        self,
        config: settings.Settings,
        door: inlet.Inlet,
        store: functions.Functions,
        client: aiohttp.ClientSession,
    ) -> None:
        self._config = config
        self._door = door
        self._store = store
        self._client = client
        self._open_bucket = buckets.opener(config.root)
        self._revisions: dict[str, model.Revision] = {}

    async def destination(self, entry: outbox.Entry) -> model.Destination | None:
        """Where it goes by the revision that ran; None when that has no such destination. Raises `errors.FaasError`."""
        revision = await self._revision(entry.invocation.ref)
        return revision.config.destination(entry.settled.condition)

    async def deliver(self, entry: outbox.Entry, to: model.Destination) -> webhooks.Tried:
        """Try once. Never raises for what a destination does, or Redis, the database or a disk."""
        try:
            if isinstance(to, model.ToFunction):
                await self._pass_on(entry, to)
                return webhooks.DELIVERED
            if isinstance(to, model.ToBucket):
                await self._write(entry, to)
                return webhooks.DELIVERED
            return await self._post(entry, to)
        except (errors.Throttled, errors.Unavailable) as error:
            return webhooks.Tried(_LATER, error.message)
        except errors.FaasError as error:
            return webhooks.Tried(_NEVER, error.message)

    async def _revision(self, ref: str) -> model.Revision:
        """Revisions never change, so those that were looked up are kept."""
        known = self._revisions.get(ref)
        if known is None:
            known = await asyncio.to_thread(self._store.get, ref)
            if known is None:
                raise errors.NotFound(f"the revision {ref} is not known", revision=ref)
            if len(self._revisions) >= _MOST_KNOWN:
                self._revisions.clear()
            self._revisions[ref] = known
        return known

    async def _pass_on(self, entry: outbox.Entry, to: model.ToFunction) -> None:
        target = await asyncio.to_thread(self._store.current, to.function)
        if target is None:
            raise errors.NotFound(f"no function is called {to.function}", function=to.function)
        event = self._record(entry)
        if len(event) > self._config.max_event_bytes:
            raise errors.TooLarge(f"the record has {len(event)} bytes, over {self._config.max_event_bytes}")
        invocation = invocation_of(entry, target, event, clock.now_ms())
        too_deep = invocation.depth > chains.MAX_DEPTH
        refusal = chains.refusal(invocation, target.config) if too_deep else None
        await self._door.call(
            lambda queue: outbox.pass_on(
                queue, entry, invocation, most_waiting=self._config.max_waiting_async, refusal=refusal
            )
        )

    async def _write(self, entry: outbox.Entry, to: model.ToBucket) -> None:
        found = {bucket.name: bucket for bucket in await asyncio.to_thread(self._store.buckets)}
        if to.bucket not in found:
            raise errors.NotFound(f"there is no bucket {to.bucket}", bucket=to.bucket)
        bucket = self._open_bucket(found[to.bucket])
        of = entry.invocation
        writer = buckets.Writer(of.depth, of.id, of.chain_id)
        key = f"{to.prefix}{of.function}/{of.id}.json"
        await asyncio.to_thread(buckets.put, bucket, key, self._record(entry), writer)

    async def _post(self, entry: outbox.Entry, to: model.ToUrl) -> webhooks.Tried:
        env = (await self._revision(entry.invocation.ref)).config.env
        secret = env.get(to.secret, "") if to.secret else self._config.destination_secret
        if not secret:
            return webhooks.Tried(_NEVER, "there is nothing to sign it with: destination_secret is not set")
        fields = {
            "User-Agent": "faas",
            headers.INVOCATION_ID: entry.invocation.id,
            headers.DELIVERY_ID: delivery_id(entry),
            headers.DELIVERY_ATTEMPT: str(entry.attempt),
        }
        return await webhooks.post(self._client, to.url, self._record(entry), secret=secret, headers=fields)

    def _record(self, entry: outbox.Entry) -> bytes:
        settled, of = entry.settled, entry.invocation
        record = settled.record
        return events.destination_event(
            invocation_id=of.id,
            function=of.function,
            revision=of.revision,
            condition=settled.condition,
            attempts=of.attempt,
            settled_ms=record.ended_at_ms,
            event=of.event,
            result=msgspec.json.encode(base64.b64encode(settled.body).decode()) if settled.is_bytes else settled.body,
            error=msgspec.structs.asdict(record.error) if record.error else None,
            region=self._config.region,
        )


def delivery_id(entry: outbox.Entry) -> str:
    """The id of the delivery, which is that of the invocation when it goes to a function: the same however often."""
    return ids.derived_id(entry.settled.record.ended_at_ms, "destination", entry.invocation.id, entry.outbox.way)


def invocation_of(entry: outbox.Entry, target: model.Revision, event: bytes, now_ms: int) -> model.Invocation:
    """The invocation of a destination that is a function."""
    return calling.invocation(
        target,
        id=delivery_id(entry),
        way="destination",
        mode=model.Mode.ASYNC,
        event=event,
        at_ms=now_ms,
        chain=calling.after(entry.invocation),
    )


def in_words(to: model.Destination) -> str:
    """A destination for people."""
    if isinstance(to, model.ToFunction):
        return f"function {to.function}"
    return f"bucket {to.bucket}" if isinstance(to, model.ToBucket) else to.url
