"""A chain put together from records and from what is in the queues."""

from __future__ import annotations

import msgspec

from faas.api import schemas, trace_view
from faas.core import ids, model
from faas.queue import whereabouts
from tests import samples

Place = whereabouts.Place


def view(
    root_id: str,
    records: list[model.Record],
    unsettled: list[whereabouts.Whereabouts] | None = None,
    now_ms: int | None = None,
    delivering: dict[str, str] | None = None,
) -> schemas.traces.Trace:
    look = whereabouts.ChainLook(tuple(unsettled or ()), delivering or {})
    now = int(root_id[:8] + root_id[9:13], 16) if now_ms is None else now_ms
    return trace_view.trace(root_id, records, look, {}, now_ms=now, currency="USD", is_cut=False)


def root(**changes: object) -> model.Record:
    return samples.ended(function="first", accepted_at_ms=1_000, **changes)


def link(of: model.Record, **changes: object) -> model.Record:
    at_ms = of.accepted_at_ms + 5
    return samples.ended(
        **{
            "function": "next",
            "parent_id": of.invocation_id,
            "root_id": of.root_id or of.invocation_id,
            "depth": of.depth + 1,
            "accepted_at_ms": at_ms,
            "ended_at_ms": at_ms + 50,
            "trigger": "upload",
            **changes,
        }
    )


def held(of: model.Record, place: Place, **changes: object) -> whereabouts.Whereabouts:
    waits = model.Invocation(
        id=ids.new_id(),
        function="waits",
        revision=1,
        trigger="upload",
        mode=model.Mode.ASYNC,
        event=b"{}",
        accepted_at_ms=of.accepted_at_ms + 9,
        depth=of.depth + 1,
        parent_id=of.invocation_id,
        root_id=of.root_id or of.invocation_id,
    )
    return whereabouts.Whereabouts(place=place, invocation=waits, **changes)  # type: ignore[arg-type]


def test_a_chain_adds_up_and_is_in_the_order_of_acceptance() -> None:
    first = root()
    second = link(first)
    third = link(second, status=model.Status.ERROR, dead=True)
    seen = view(first.invocation_id, [third, first, second, first])
    assert [one.id for one in seen.invocations] == [each.invocation_id for each in (first, second, third)]
    assert [one.state for one in seen.invocations] == [Place.DONE, Place.DONE, Place.DEAD]
    assert (seen.count, seen.billed_ms, seen.cost_pico) == (3, 24, 3 * first.cost_pico)
    assert (seen.began_at_ms, seen.ended_at_ms, seen.is_cut) == (1_000, third.ended_at_ms, False)


def test_attempts_of_an_invocation_are_in_order_and_what_is_not_final_is_not_over() -> None:
    first = root(final=False, status=model.Status.ERROR)
    again = msgspec.structs.replace(first, attempt=2, ended_at_ms=3_000)
    seen = view(first.invocation_id, [again, first])
    (one,) = seen.invocations
    assert [each.attempt for each in one.attempts] == [1, 2]
    assert (one.state, seen.ended_at_ms) == (Place.RUNNING, None)


def test_what_waits_runs_or_is_due_is_shown_with_where() -> None:
    first = root()
    unsettled = [
        held(first, Place.WAITING),
        held(first, Place.RUNNING, node="n1", running_ms=70),
        held(first, Place.RETRYING, due_at_ms=9_000),
    ]
    seen = view(first.invocation_id, [first], unsettled, now_ms=2_000)
    assert {one.id: one.state for one in seen.invocations[1:]} == {
        each.invocation.id: each.place for each in unsettled if each.invocation is not None
    }
    running = next(one for one in seen.invocations if one.state is Place.RUNNING)
    assert (running.node, running.running_since_ms) == ("n1", 1_930)
    assert {one.due_at_ms for one in seen.invocations} == {None, 9_000}
    assert seen.ended_at_ms is None


def test_what_was_in_a_queue_and_has_its_last_record_by_now_is_settled() -> None:
    first = root()
    waits = held(first, Place.RUNNING, node="n1", running_ms=1)
    assert waits.invocation is not None
    ended = link(first, invocation_id=waits.invocation.id)
    seen = view(first.invocation_id, [first, ended], [waits])
    assert [(one.state, one.node) for one in seen.invocations] == [(Place.DONE, None), (Place.DONE, None)]


def test_a_first_invocation_that_nothing_is_known_of_is_shown_above_what_follows_from_it() -> None:
    first = root()
    second = link(first)
    seen = view(first.invocation_id, [second])
    assert [one.id for one in seen.invocations] == [first.invocation_id, second.invocation_id]
    assert (seen.invocations[0].function, seen.invocations[0].state) == (None, Place.RUNNING)
    later = view(first.invocation_id, [second], now_ms=1 << 42)
    assert later.invocations[0].state is Place.DONE


def test_no_more_than_so_many_are_shown_and_that_there_are_more_is_said() -> None:
    first = root()
    many = [link(first) for _ in range(trace_view.MOST)]
    seen = view(first.invocation_id, [first, *many])
    assert (seen.count, len(seen.invocations), seen.is_cut) == (trace_view.MOST, trace_view.MOST, True)
    assert seen.invocations[0].id == first.invocation_id


def test_a_chain_is_not_over_while_a_record_of_it_waits_for_its_destination() -> None:
    first = root()
    seen = view(first.invocation_id, [first], delivering={first.invocation_id: "success"})
    assert (seen.ended_at_ms, seen.invocations[0].delivering) == (None, "success")
    assert seen.invocations[0].state is Place.DONE
