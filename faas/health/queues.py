"""Whether all invocations are in one place each, and how near what waits is to its bounds."""

from __future__ import annotations

from collections.abc import Iterator

from faas.core import groups
from faas.health import asking, facts
from faas.queue import census, recount

_MIB = 1024**2
_NEARLY_FULL = 0.8
_COUNTED_WITHIN_S = 150.0


def bounds(redis: groups.Redis, queues: groups.Queues) -> Iterator[facts.Fact]:
    """The fact ``bounds``, by the counter."""
    yield _room(asking.asked(redis, census.counted), queues)


def bounds_counted(redis: groups.Redis, queues: groups.Queues) -> Iterator[facts.Fact]:
    """The fact ``bounds``, with all counted one by one; and ``queues``, when work was found that no node looked for."""
    held = asking.asked(redis, census.held, _COUNTED_WITHIN_S)
    counted = (held.counted_entries, held.counted_bytes, held.counted_unrecorded_bytes)
    if held.is_right:
        yield _room(counted, queues, "" if held.is_exact else "; much moved, so the bytes were checked roughly")
    else:
        truth = _told(held.entries, held.bytes, held.unrecorded_bytes)
        yield facts.Fact("bounds", facts.Severity.FAILED, f"the counter says {_told(*counted)}; in truth {truth}")
    if held.missing:
        text = f"work waited that no node looked for, and they do now: {', '.join(held.missing)}"
        yield facts.Fact("queues", facts.Severity.WARNING, text, "does an older version of faas use this Redis, too?")


def conservation(redis: groups.Redis) -> Iterator[facts.Fact]:
    """The fact ``conservation``: every invocation that was accepted is in one place."""
    places = asking.asked(redis, census.places)
    # Without signs: what one revision misses must not make up for what another has twice.
    if drift := sum(abs(place.counts.drift) for place in places.values()):
        text = f"{drift} invocations are in no place or in two"
        yield facts.Fact("conservation", facts.Severity.FAILED, text, "`faas status` shows the function")
        return
    functions = {ref.rpartition("@")[0] for ref in places}
    text = f"accepted = waiting + running + retrying + done + dead, over {len(functions)} functions"
    yield facts.Fact("conservation", facts.Severity.OK, text)


def is_nearly_full(counted: tuple[int, int, int], most: tuple[int, int, int]) -> bool:
    """Whether any of what is counted is near its bound."""
    return any(there >= _NEARLY_FULL * bound for there, bound in zip(counted, most, strict=True))


def _room(counted: recount.Counted, queues: groups.Queues, seen: str = "") -> facts.Fact:
    most = (queues.max_waiting_total, queues.max_waiting_bytes, queues.max_unrecorded_bytes)
    entries, size, unrecorded = (
        f"{there} of {bound}" for there, bound in zip(_shown(*counted), _shown(*most), strict=True)
    )
    text = f"{entries} invocations wait or run, with {size} MiB, and {unrecorded} MiB of records are on their way{seen}"
    if is_nearly_full(counted, most):
        hint = "past a bound calls get 429: `faas status` shows what waits; the settings `max_waiting_*` are the bounds"
        return facts.Fact("bounds", facts.Severity.WARNING, text, hint)
    return facts.Fact("bounds", facts.Severity.OK, text)


def _told(entries: int, size: int, unrecorded: int) -> str:
    return f"{entries:,} invocations of {size:,} bytes wait or run, {unrecorded:,} bytes of records on their way"


def _shown(entries: int, size: int, unrecorded: int) -> tuple[str, str, str]:
    return f"{entries:,}", f"{size / _MIB:,.1f}", f"{unrecorded / _MIB:,.1f}"
