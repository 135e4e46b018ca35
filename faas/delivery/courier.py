"""Whatever was taken out of an outbox is made into a parcel and given to the carrier for its destination."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from faas import buckets
from faas.core import errors, model, settings
from faas.delivery import carriers, parcels, webhooks
from faas.queue import inlet, outbox
from faas.store import functions

_MOST_KNOWN = 1_000


class Courier:
    """Delivers for one scheduler. Close its ``client`` after use."""

    def __init__(
        self,
        chosen: settings.Settings,
        door: inlet.Inlet,
        store: functions.Functions,
        client: aiohttp.ClientSession,
    ) -> None:
        self._region = chosen.sandboxes.region
        self._store = store
        self._revisions: dict[str, model.Revision] = {}
        self._carriers: Mapping[type[model.Destination], carriers.Carrier] = {
            model.ToFunction: carriers.ToFunctions(
                door,
                store,
                max_event_bytes=chosen.sandboxes.max_event_bytes,
                max_waiting=chosen.queues.max_waiting_async,
            ),
            model.ToBucket: carriers.ToBuckets(buckets.opener(chosen.data), store),
            model.ToUrl: carriers.ToUrls(chosen.destinations.destination_secret, door, client),
        }

    async def destination(self, taken: outbox.Taken) -> model.Destination | None:
        """Where it goes: a record by the revision that ran, if that says so. Raises `errors.FaasError`."""
        if isinstance(taken, outbox.Posted):
            return taken.to
        revision = await self._revision(taken.invocation.ref)
        return revision.config.destination(taken.settled.condition)

    async def deliver(self, taken: outbox.Taken, to: model.Destination) -> webhooks.Tried:
        """Try once. Never raises for what a destination does, or Redis, the database or a disk."""
        try:
            return await self._carriers[type(to)].carry(taken, await self._parcel(taken), to)
        except (errors.Throttled, errors.Unavailable) as error:
            return webhooks.Tried(webhooks.Verdict.LATER, error.message)
        except errors.FaasError as error:
            return webhooks.Tried(webhooks.Verdict.NEVER, error.message)

    async def _parcel(self, taken: outbox.Taken) -> parcels.Parcel:
        if isinstance(taken, outbox.Posted):
            return parcels.of_message(taken)
        revision = await self._revision(taken.invocation.ref)
        return parcels.of_record(taken, revision.config.env, self._region)

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


def in_words(to: model.Destination) -> str:
    """A destination for people, without what of a URL may be a secret."""
    if isinstance(to, model.ToFunction):
        return f"function {to.function}"
    return f"bucket {to.bucket}" if isinstance(to, model.ToBucket) else webhooks.in_words(to.url)
