"""What lies in buckets and cannot become an event."""

from __future__ import annotations

from collections.abc import Iterator

from faas.core import groups
from faas.health import asking, facts, ledger
from faas.queue import unfit

_SHOWN = 3


def gather(data: groups.Data, redis: groups.Redis) -> Iterator[facts.Fact]:
    """The fact ``objects``, as far as triggers have looked."""
    names = [bucket.name for bucket in ledger.buckets(data)]
    yield fact(asking.asked(redis, lambda queue: unfit.of(queue, names)))


def fact(found: dict[str, unfit.Told]) -> facts.Fact:
    """The fact, from what was told of each bucket."""
    count = sum(told.count for told in found.values())
    if not count:
        return facts.Fact("objects", facts.Severity.OK, "all that triggers watch in buckets can become events")
    each = [f"{bucket}/{name}: {why}" for bucket, told in sorted(found.items()) for name, why in told.shown]
    more = f"; and {count - _SHOWN} more" if count > _SHOWN else ""
    hint = "give it a name in UTF-8, or put a plain file in its place; the scheduler's log names each (`no_event`)"
    return facts.Fact("objects", facts.Severity.WARNING, f"no events of {'; '.join(each[:_SHOWN])}{more}", hint)
