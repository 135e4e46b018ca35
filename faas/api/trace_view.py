"""A chain put together from what is known of it: records, and what waits, runs or is due. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from faas.api import schemas, views
from faas.core import ids, model
from faas.core.calls import tracing
from faas.core.money import billing
from faas.queue import whereabouts
from faas.store import chains, undelivered

MOST = 10_000
"""Invocations of a chain that are shown."""

_RUNS_FOR_MS = 86_400_000
"""After so long nothing that was handed off runs still, and what is not there has had its time."""

_SETTLED = (whereabouts.Place.DONE, whereabouts.Place.DEAD)


def trace(
    root_id: str,
    records: Iterable[model.Record],
    looked: whereabouts.ChainLook,
    given_up: Mapping[str, undelivered.GivenUp],
    *,
    now_ms: int,
    currency: str,
    is_cut: bool,
) -> schemas.traces.Trace:
    """The chain that began with an invocation. The same record may be among them twice."""
    held = {each.invocation.id: each for each in looked.unsettled if each.invocation is not None}
    attempts: dict[str, dict[int, model.Record]] = {}
    for record in records:
        attempts.setdefault(record.invocation_id, {})[record.attempt] = record
    known = [
        _invocation(
            id,
            [attempts[id][number] for number in sorted(attempts.get(id, ()))],
            held.get(id),
            (looked.delivering.get(id), given_up.get(id)),
            now_ms,
        )
        for id in {*attempts, *held}
    ]
    shown = sorted([*known, *_missing(root_id, known, now_ms)], key=_order)
    kept = shown[:MOST]
    every = [attempt for one in kept for attempt in one.attempts]
    pico = sum(attempt.cost_pico for attempt in every)
    traced = next((record.trace for of in attempts.values() for record in of.values() if record.trace), None)
    return schemas.traces.Trace(
        root_id=root_id,
        trace_id=tracing.trace_id(root_id, traced),
        count=len(kept),
        cost_pico=pico,
        cost_decimal=billing.decimal(pico),
        currency=currency,
        billed_ms=sum(attempt.billed_ms for attempt in every),
        began_at_ms=min((one.accepted_at_ms for one in kept if one.accepted_at_ms is not None), default=now_ms),
        ended_at_ms=_ended_at_ms(kept),
        is_cut=is_cut or len(shown) > MOST,
        invocations=tuple(kept),
    )


def _ended_at_ms(shown: Sequence[schemas.traces.TraceInvocation]) -> int | None:
    if any(one.state not in _SETTLED or one.delivering for one in shown):
        return None
    return max((attempt.ended_at_ms for one in shown for attempt in one.attempts), default=None)


def _order(one: schemas.traces.TraceInvocation) -> tuple[int, int, str]:
    # What is known by its id alone was accepted before what follows from it, which says that it is there.
    return (0 if one.accepted_at_ms is None else one.accepted_at_ms, one.depth, one.id)


def _invocation(
    id: str,
    records: Sequence[model.Record],
    held: whereabouts.Whereabouts | None,
    told: tuple[str | None, undelivered.GivenUp | None],
    now_ms: int,
) -> schemas.traces.TraceInvocation:
    last = records[-1] if records else None
    # What was in a queue a moment ago may have its last record by now.
    is_settled = last is not None and last.final
    waits = None if held is None or is_settled else held
    origin = last if last is not None else (held.invocation if held is not None else None)
    since_ms = None if waits is None or waits.running_ms is None else now_ms - waits.running_ms
    return schemas.traces.TraceInvocation(
        id=id,
        parent_id=origin.parent_id if origin else None,
        function=origin.function if origin else None,
        revision=origin.revision if origin else None,
        trigger=origin.trigger if origin else None,
        object=origin.object if origin else None,
        depth=origin.depth if origin else 0,
        state=_state(last, waits),
        accepted_at_ms=origin.accepted_at_ms if origin else None,
        attempts=tuple(map(_attempt, records)),
        span_id=tracing.span_id(id),
        node=waits.node if waits else None,
        running_since_ms=since_ms,
        due_at_ms=waits.due_at_ms if waits else None,
        delivering=told[0],
        undelivered=_given_up(told[1]),
    )


def _state(last: model.Record | None, waits: whereabouts.Whereabouts | None) -> whereabouts.Place:
    if last is not None and last.final:
        return whereabouts.Place.DEAD if last.dead else whereabouts.Place.DONE
    return whereabouts.Place.RUNNING if waits is None else waits.place


def _missing(
    root_id: str, known: Sequence[schemas.traces.TraceInvocation], now_ms: int
) -> Iterator[schemas.traces.TraceInvocation]:
    """Invocations that others follow from and that nothing else is known of.

    Most likely one was handed off and runs; or its records have had their time.
    """
    there = {one.id for one in known}
    depths = {one.parent_id or root_id: max(one.depth - 1, 0) for one in known if one.id != root_id}
    for id in sorted(depths.keys() - there):
        yield schemas.traces.TraceInvocation(
            id=id,
            parent_id=None if id == root_id else root_id,
            function=None,
            revision=None,
            trigger=None,
            object=None,
            depth=depths[id],
            state=_likely(id, now_ms),
            accepted_at_ms=None,
            attempts=(),
            span_id=tracing.span_id(id),
        )


def _likely(id: str, now_ms: int) -> whereabouts.Place:
    # The first 48 bits of a UUIDv7 are Unix milliseconds (RFC 9562, section 5.7).
    made_at_ms = int(id[:8] + id[9:13], 16) if ids.is_id(id) else 0
    return whereabouts.Place.RUNNING if now_ms - made_at_ms < _RUNS_FOR_MS else whereabouts.Place.DONE


def _attempt(record: model.Record) -> schemas.traces.TraceAttempt:
    return schemas.traces.TraceAttempt(
        attempt=record.attempt,
        status=record.status,
        started_at_ms=record.started_at_ms,
        ended_at_ms=record.ended_at_ms,
        queue_ms=record.queue_ms,
        init_ms=record.init_ms,
        steps=views.steps(record.steps),
        cold_start=record.cold_start,
        duration_us=record.duration_us,
        billed_ms=record.billed_ms,
        cost_pico=record.cost_pico,
        span_id=tracing.attempt_span_id(record.invocation_id, record.attempt),
        error=views.failure(record),
    )


def _given_up(found: undelivered.GivenUp | None) -> schemas.traces.TraceDestination | None:
    if found is None:
        return None
    return schemas.traces.TraceDestination(
        destination=found.destination,
        reason=found.reason,
        attempts=found.attempts,
        given_up_at_ms=found.given_up_at_ms,
    )


def line(chain: chains.ChainSums) -> schemas.traces.TraceLine:
    """A chain as a line of a list."""
    return schemas.traces.TraceLine(
        root_id=chain.root_id,
        function=chain.function or None,
        trigger=chain.trigger or None,
        object=chain.object,
        count=chain.count,
        cost_pico=chain.cost_pico,
        cost_decimal=billing.decimal(chain.cost_pico),
        billed_ms=chain.billed_ms,
        duration_ms=chain.duration_ms,
        began_at_ms=chain.began_at_ms,
        ended_at_ms=chain.ended_at_ms,
        status=chain.status,
    )
