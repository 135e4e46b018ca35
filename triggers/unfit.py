"""What lies in a bucket, concerns a trigger, and cannot become an event: named once in the log, and told to Redis.

The signs of a bucket say that something is there, and a look only that it is no object: whether it is none or has gone
looks the same. So the bucket is asked for such things itself, as often as that costs next to nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable

from faas import buckets
from faas.core import errors
from faas.queue import inlet, unfit
from triggers import matching

_log = logging.getLogger(__name__)

_EVERY_S = 5.0
_SHARE = 100
"""A look that takes long is followed by a rest that is so many times as long."""
_MOST = 1_000
_SHOWN = 20


async def watch(bucket: buckets.Bucket, rules: Callable[[], tuple[matching.Rule, ...]], door: inlet.Inlet) -> None:
    """Look for what is unfit in a bucket until this is cancelled."""
    named: set[str] = set()
    while True:
        began = asyncio.get_running_loop().time()
        try:
            found = await asyncio.to_thread(_concerning, bucket, rules())
        except errors.FaasError as error:
            _log.debug("bucket_not_searched", extra={"bucket": bucket.name, "reason": error.message})
        else:
            _name(bucket.name, found, named)
            pause_s = max(_EVERY_S, _SHARE * (asyncio.get_running_loop().time() - began))
            await _tell(bucket.name, found, door, pause_s)
        await asyncio.sleep(max(_EVERY_S, _SHARE * (asyncio.get_running_loop().time() - began)))


def concerns(rules: Iterable[matching.Rule], name: str) -> bool:
    """Whether a rule would want it; of a folder, something in it."""
    if not name.endswith("/"):
        return bool(matching.matching(rules, name))
    return any(name.startswith(rule.trigger.prefix) or rule.trigger.prefix.startswith(name) for rule in rules)


def _concerning(bucket: buckets.Bucket, rules: tuple[matching.Rule, ...]) -> list[buckets.Unfit]:
    return list(itertools.islice((each for each in bucket.unfit() if concerns(rules, each.name)), _MOST))


def _name(bucket: str, found: list[buckets.Unfit], named: set[str]) -> None:
    for each in found:
        if each.name not in named:
            _log.warning("no_event", extra={"bucket": bucket, "key": printable(each.name), "reason": each.why})
    named.intersection_update(each.name for each in found)
    named.update(each.name for each in found)


async def _tell(bucket: str, found: list[buckets.Unfit], door: inlet.Inlet, pause_s: float) -> None:
    told = unfit.Told(len(found), tuple((printable(each.name), each.why) for each in found[:_SHOWN]))
    for_ms = int(pause_s * 3_000)
    try:
        await door.call(lambda queue: unfit.tell(queue, bucket, told, for_ms))
    except errors.Unavailable as error:
        _log.debug("unfit_not_told", extra={"bucket": bucket, "reason": error.message})


def printable(name: str) -> str:
    """A name as it can be shown: bytes that are no text as ``\\\\xff``."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)[:300]
