"""The upload triggers of one bucket: signs in, invocations out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Mapping

import msgspec

from faas import buckets
from faas.core import clock, errors, events, ids, model
from faas.core.calls import calling
from faas.core.money import budgets
from faas.queue import accepting, chains, guards, inlet, invocations
from triggers import backlog, comparison, complete, matching, newcomers

_log = logging.getLogger(__name__)

_AT_ONCE = 256
_MOST_COMPARED = 1_000
"""First looks that may wait while a comparison adds more: an upload of this moment waits behind no more than these."""

_MOST_WAITING = 100_000
_SETTLE_S = 1.0
_CHECK_S = 1.0
_SOON_S = 0.05
_LONGEST_S = 30.0
_MOST_FOLDERS = 32


class BucketTrigger:
    """Watches one bucket until it is cancelled. ``rules`` are the triggers in force.

    What concerns a function that may not run now, as ``stops`` say, waits.
    """

    def __init__(
        self, bucket: buckets.Bucket, rules: tuple[matching.Rule, ...], door: inlet.Inlet, region: str
    ) -> None:
        self.rules = rules
        self.stops: Mapping[str, budgets.BudgetStop] = {}
        self._bucket = bucket
        self._door = door
        self._region = region
        self._backlog = backlog.Backlog()
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._listing = asyncio.Event()
        self._to_list: set[str] = set()
        self._away: set[str] = set()
        self._guard_key = matching.guard_key(bucket.name)

    def adopt(self, rules: tuple[matching.Rule, ...]) -> None:
        """Take over changed rules; what is already in the bucket is compared with them."""
        if rules != self.rules:
            self.rules = rules
            self._list(buckets.EVERYTHING)

    async def run(self) -> None:
        """Watch first and compare then, so that nothing falls between."""
        async with asyncio.TaskGroup() as tasks:
            # One that fails ends the others, and whoever owns this begins anew.
            tasks.create_task(self._watching())
            tasks.create_task(self._comparing())
            tasks.create_task(self._looking())

    async def _watching(self) -> None:
        """Hear of what changes. The bucket tells of `EVERYTHING` first, once it listens: nothing falls between."""
        loop = asyncio.get_running_loop()
        feed = self._bucket.watch(lambda: _tell(loop, self._changed.set))
        cursor = ""
        try:
            while True:
                self._changed.clear()
                changes = await self._changes_since(feed, cursor)
                if changes.cursor == cursor:
                    await self._until_changed()
                cursor = changes.cursor
                self._take(changes)
        finally:
            await asyncio.shield(asyncio.to_thread(feed.close))

    async def _changes_since(self, feed: buckets.Feed, cursor: str) -> buckets.Changes:
        try:
            return await asyncio.to_thread(feed.since, cursor)
        except errors.FaasError as error:
            _log.warning("bucket_not_watched", extra={"bucket": self._bucket.name, "reason": error.message})
            return buckets.Changes(cursor)

    async def _until_changed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_S):
                await self._changed.wait()

    def _take(self, changes: buckets.Changes) -> None:
        for key, sign in changes.signs.items():
            self._object_seen(key, sign, was_away=key in changes.gone)
        self._away |= {name for name in changes.gone if name.endswith("/")}
        for prefix in changes.prefixes:
            self._prefix_seen(prefix)

    def _object_seen(self, key: str, sign: buckets.Sign, *, was_away: bool) -> None:
        if not matching.matching(self.rules, key):
            return
        # What does not fit is found again by comparing the bucket with what was handled.
        if len(self._backlog) >= _MOST_WAITING:
            self._list(buckets.EVERYTHING)
            return
        look = backlog.Look(key, sign, was_away=was_away)
        self._want(look, _SETTLE_S if sign is buckets.Sign.FOUND else 0.0)

    def _prefix_seen(self, prefix: str) -> None:
        """List a new folder a little later: files may have been made in it before it was watched."""
        if prefix == buckets.EVERYTHING:
            self._list(prefix)
        elif not matching.is_hidden(prefix):
            asyncio.get_running_loop().call_later(_SETTLE_S, self._list, prefix)

    def _list(self, prefix: str) -> None:
        self._to_list.add(prefix)
        # A comparison of all costs less than one of many folders.
        if len(self._to_list) > _MOST_FOLDERS:
            self._to_list = {buckets.EVERYTHING}
        self._listing.set()

    def _want(self, look: backlog.Look, delay_s: float) -> None:
        self._backlog.add(look, asyncio.get_running_loop().time() + delay_s)
        self._wake.set()

    async def _comparing(self) -> None:
        while True:
            await self._listing.wait()
            self._listing.clear()
            prefixes, self._to_list = self._to_list, set()
            try:
                await self._compare(buckets.EVERYTHING if buckets.EVERYTHING in prefixes else prefixes)
            except errors.FaasError as error:
                _log.warning("bucket_not_compared", extra={"bucket": self._bucket.name, "reason": error.message})
                await asyncio.sleep(_CHECK_S)
                for prefix in prefixes:
                    self._list(prefix)

    async def _compare(self, prefixes: set[str] | str) -> None:
        """Look at every object under the prefixes whose version is not the one that was handled last."""
        rules = self.rules
        await self._forget_away()
        held = await self._door.call(lambda queue: guards.items(queue, self._guard_key))
        # What is left of these at the end was handled once, and is not there any more.
        unseen = set(held)
        for prefix in [prefixes] if isinstance(prefixes, str) else sorted(prefixes):
            after: str | None = ""
            while after is not None:
                page = await asyncio.to_thread(comparison.compare, self._bucket, rules, held, prefix, after)
                await self._door.call(functools.partial(guards.put_new, key=self._guard_key, values=page.skipped))
                for key in page.changed:
                    await self._until_room()
                    self._want(backlog.Look(key, buckets.Sign.FOUND), 0)
                unseen -= page.known
                after = page.last
        if prefixes == buckets.EVERYTHING:
            for field in await asyncio.to_thread(comparison.gone, self._bucket, unseen):
                await self._door.call(functools.partial(_drop, key=self._guard_key, field=field))
            await self._settle(rules)

    async def _forget_away(self) -> None:
        """Forget what was handled of folders that were seen to go: what is back in them, or another time, is new."""
        away, self._away = self._away, set()
        if not away:
            return
        held = await self._door.call(lambda queue: guards.items(queue, self._guard_key))
        for field in matching.below(away, held):
            await self._door.call(functools.partial(_drop, key=self._guard_key, field=field))

    async def _settle(self, rules: tuple[matching.Rule, ...]) -> None:
        """The bucket was compared with these rules, so that nothing is new about them any more."""
        if all(rule.news is None for rule in rules):
            return
        skipped = sum(rule.news is not None for rule in rules)
        _log.info("upload_triggers_settled", extra={"bucket": self._bucket.name, "triggers": skipped})
        await self._door.call(lambda queue: newcomers.settle(queue, rules))
        # A deploy may have brought others while the bucket was compared.
        if self.rules is rules:
            self.rules = tuple(msgspec.structs.replace(rule, news=None) for rule in rules)

    async def _until_room(self) -> None:
        while self._backlog.fresh > _MOST_COMPARED or len(self._backlog) > _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    async def _looking(self) -> None:
        while True:
            looks = self._backlog.take(asyncio.get_running_loop().time(), _AT_ONCE)
            if not looks:
                await self._until_next()
                continue
            self._room.set()
            found = await asyncio.to_thread(complete.see_all, self._bucket, looks)
            # One write to Redis for all of them: what is asked in one turn of the loop leaves together.
            await asyncio.gather(*(self._handle(seen) for seen in found))

    async def _until_next(self) -> None:
        self._wake.clear()
        next_at = self._backlog.next_at()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(next_at):
                await self._wake.wait()

    async def _handle(self, seen: complete.Seen) -> None:
        look = seen.look
        try:
            if seen.state is complete.State.COMPLETE:
                for rule in matching.matching(self.rules, look.key):
                    await self._deliver(rule, seen)
            elif seen.state is complete.State.GONE:
                for rule in matching.matching(self.rules, look.key):
                    field = rule.guard_field(look.key)
                    await self._door.call(functools.partial(_drop, key=self._guard_key, field=field))
            else:
                self._again(look, _SETTLE_S if seen.state is complete.State.GROWING else _LONGEST_S)
        except (errors.Throttled, errors.Unavailable) as error:
            # The first time alone: a bucket that waits for a function's budget would fill the log.
            if look.tries == 0:
                extra = {"bucket": self._bucket.name, "key": look.key, "reason": error.message}
                _log.warning("upload_waits", extra=extra)
            self._again(look, _LONGEST_S)

    def _again(self, look: backlog.Look, most_s: float) -> None:
        # Twice as long each time, so that a file that grows for an hour is not looked at a thousand times a minute.
        later = msgspec.structs.replace(look, tries=look.tries + 1)
        self._want(later, min(_SOON_S * 2.0 ** min(look.tries, 16), most_s))

    async def _deliver(self, rule: matching.Rule, seen: complete.Seen) -> None:
        assert seen.object is not None  # noqa: S101 - a complete object is there
        field = rule.guard_field(seen.look.key)
        value = matching.guard_value(seen.object, was_away=seen.look.was_away)
        # What came back is the same version, and is to run all the same.
        if not seen.look.was_away:
            held = await self._door.call(lambda queue: guards.get(queue, self._guard_key, field))
            if rule.has_met(held, seen.object.version):
                return
        function = rule.revision.function
        budgets.refuse(function, budgets.stop_of(self.stops, function), clock.now_ms())
        invocation = invocation_of(rule, self._bucket.name, seen, self._region)
        guard = guards.Guard(key=self._guard_key, field=field, value=value)
        extra = {
            "bucket": self._bucket.name,
            "key": seen.look.key,
            "function": invocation.function,
            "invocation_id": invocation.id,
        }
        if invocation.depth > chains.MAX_DEPTH:
            refusal = chains.refusal(invocation, rule.revision.config)
            if await self._door.call(
                lambda queue: accepting.refuse(queue, invocation, refusal.record, guard, refusal.settled)
            ):
                _log.error("chain_stopped", extra={**extra, "depth": invocation.depth})
        elif await self._door.call(lambda queue: queue.enqueue(invocation, guard)):
            _log.info("upload_fired", extra=extra)


def invocation_of(rule: matching.Rule, bucket: str, seen: complete.Seen, region: str) -> model.Invocation:
    """The invocation for one complete object."""
    assert seen.object is not None  # noqa: S101 - a complete object is there
    revision, invocation_id = rule.revision, ids.new_id()
    made = calling.invocation(
        revision,
        id=invocation_id,
        way="upload",
        mode=model.Mode.ASYNC,
        event=events.upload_event(
            invocation_id=invocation_id,
            bucket=bucket,
            key=seen.object.key,
            size=seen.object.size,
            etag=seen.object.etag,
            version=seen.object.version,
            modified_ns=seen.object.modified_ns,
            region=region,
            configuration=f"{revision.function}-{rule.place}",
        ),
        at_ms=clock.now_ms(),
        place=rule.place,
        chain=calling.Chain(seen.depth, seen.parent_id, seen.root_id, seen.trace),
    )
    return msgspec.structs.replace(made, object=f"{bucket}/{seen.object.key}")


async def _drop(queue: invocations.Queue, key: str, field: str) -> None:
    await guards.drop(queue, key, field)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: object) -> None:
    """Call from a thread into the loop; at the very end there may be none any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
