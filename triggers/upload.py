"""Complete objects become invocations, none missed, no version of an object twice in a row.

::

    bucket's feed: sign ┐
    prefix appears ─────┼──► backlog ──► look ──► growing: look again
    start, overflow,    │                  ├────► gone: its guard is dropped
    new rules: compare ─┘                  └────► complete: enqueue, with the guard of its version

What has been handled is known to Redis alone (`matching.guard_key`): an enqueue for the version that the guard holds is
refused in the same script. So a sign may be wrong or come twice, two schedulers may watch one bucket, and a comparison
may run at any time. What cannot be enqueued now stays in the backlog; what is in no backlog when the process ends is
found by the comparison at the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

import msgspec

from faas import buckets
from faas.core import errors, groups, model
from faas.queue import inlet, invocations
from triggers import catalog, matching, newcomers, unfit, uploads

_log = logging.getLogger(__name__)

_LOOK_S = 1.0


class _Around(msgspec.Struct, frozen=True):
    """What every bucket's trigger needs."""

    door: inlet.Inlet
    region: str
    open_bucket: buckets.Open


async def run(
    sandboxes: groups.Sandboxes,
    data: groups.Data,
    queue: invocations.Queue,
    functions: catalog.Functions,
    stop: asyncio.Event,
    open_bucket: buckets.Open | None = None,
) -> None:
    """Watch every bucket that a current upload trigger names, until ``stop`` is set.

    ``open_bucket`` makes their adapters; those of the data directory's platform are the default.
    """
    around = _Around(inlet.Inlet(queue), sandboxes.region, open_bucket or buckets.opener(data))
    known = catalog.Snapshot()
    running: dict[model.Bucket, tuple[uploads.BucketTrigger, asyncio.Task[None]]] = {}
    try:
        while not stop.is_set():
            latest = await catalog.newer(functions, known)
            if latest is not known and await _adapt(running, latest, around):
                known = latest
            await _revive(running, around)
            await catalog.pause(stop, _LOOK_S)
    finally:
        await _end([task for _, task in running.values()])


async def _adapt(
    running: dict[model.Bucket, tuple[uploads.BucketTrigger, asyncio.Task[None]]],
    latest: catalog.Snapshot,
    around: _Around,
) -> bool:
    """Watch the buckets that the catalog's rules name, and no others; False when Redis does not say what is new."""
    try:
        rules = await _with_news(matching.rules_by_bucket(latest), around.door)
    except errors.Unavailable as error:
        _log.warning("upload_triggers_wait", extra={"reason": error.message})
        return False
    wanted = {bucket: rules[bucket.name] for bucket in latest.buckets if bucket.name in rules}
    await _end([running.pop(bucket)[1] for bucket in set(running) - set(wanted)])
    for bucket, of_bucket in wanted.items():
        if bucket in running:
            running[bucket][0].adopt(of_bucket)
        else:
            running[bucket] = _started(bucket, of_bucket, around)
        running[bucket][0].stops = latest.stops
    return True


async def _with_news(
    rules: dict[str, tuple[matching.Rule, ...]], door: inlet.Inlet
) -> dict[str, tuple[matching.Rule, ...]]:
    """The rules, each with what of it is not settled yet. Raises `errors.Unavailable`."""
    every = [rule for of_bucket in rules.values() for rule in of_bucket]
    met = await door.call(lambda queue: newcomers.meet(queue, every))
    return {
        bucket: tuple(msgspec.structs.replace(rule, news=newcomers.news_for(rule, met)) for rule in of_bucket)
        for bucket, of_bucket in rules.items()
    }


async def _revive(
    running: dict[model.Bucket, tuple[uploads.BucketTrigger, asyncio.Task[None]]],
    around: _Around,
) -> None:
    """Start again what ended by an error: one bucket's trouble is not the others'."""
    for bucket, (trigger, task) in list(running.items()):
        if task.done():
            _log.error("bucket_trigger_failed", extra={"bucket": bucket.name}, exc_info=task.exception())
            stops = trigger.stops
            running[bucket] = _started(bucket, trigger.rules, around)
            running[bucket][0].stops = stops


def _started(
    bucket: model.Bucket, rules: tuple[matching.Rule, ...], around: _Around
) -> tuple[uploads.BucketTrigger, asyncio.Task[None]]:
    trigger = uploads.BucketTrigger(around.open_bucket(bucket), rules, around.door, around.region)
    searching = unfit.watch(around.open_bucket(bucket), lambda: trigger.rules, around.door)
    return trigger, asyncio.create_task(_both(trigger.run(), searching), name=f"uploads of {bucket.name}")


async def _both(*works: Coroutine[None, None, None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(work)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
