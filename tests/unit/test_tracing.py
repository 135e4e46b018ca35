"""Trace contexts: what is read from strangers, what is passed on, and the ids that follow from invocations."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import ids, model
from faas.core.calls import calling, tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
ROOT = "01890a5d-ac96-774b-bcce-b302099a8057"


def invocation(**changes: object) -> model.Invocation:
    made = model.Invocation(
        id=ROOT, function="f", revision=1, trigger="http", mode=model.Mode.SYNC, event=b"", accepted_at_ms=0
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (PARENT, PARENT),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-01", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what the future will be like", PARENT),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f" {PARENT}", None),
        (f"{PARENT}\n", None),
        (f"00-{TRACE[:-1]}٣-{SPAN}-01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_by_the_rules(given: str, kept: str | None) -> None:
    assert tracing.written(given) == kept


def test_who_sends_two_traceparents_sends_none() -> None:
    assert tracing.read([("traceparent", PARENT), ("traceparent", PARENT)]) is None
    assert tracing.read([("tracestate", "a=1")]) is None
    assert tracing.read([("traceparent", PARENT), ("host", "h")]) == model.TraceContext(PARENT)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["a=1"], "a=1"),
        (["a=1", "b=2"], "a=1,b=2"),
        ([" a=1 ,, b=2\t"], "a=1,b=2"),
        (["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "0a@b=x"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,0a@b=x"),
        (["a=1,a=2"], ""),
        (["a=1,B=2"], ""),
        (["a=ü"], ""),
        (["a"], ""),
        ([",".join(f"k{n}=1" for n in range(33))], ""),
        ([",".join(f"k{n}={'x' * 100}" for n in range(6))], ",".join(f"k{n}={'x' * 100}" for n in range(4))),
    ],
)
def test_a_tracestate_is_kept_whole_or_by_members_or_not_at_all(values: list[str], kept: str) -> None:
    fields = [("traceparent", PARENT), *(("tracestate", value) for value in values)]
    assert tracing.read(fields) == model.TraceContext(PARENT, kept)


@given(st.text(), st.lists(st.text(), max_size=3))
def test_whatever_strangers_send_is_read_or_left_out(parent: str, states: list[str]) -> None:
    found = tracing.read([("traceparent", parent), *(("tracestate", state) for state in states)])
    assert found is None or tracing.written(found.parent) == found.parent


def test_the_ids_of_a_chain_follow_from_the_first_invocation() -> None:
    assert tracing.trace_id(ROOT) == f"{0x01890A5DAC96 // 1000:08x}ac96774bbcceb302099a8057"
    assert tracing.span_id(ROOT) == "bcceb302099a8057"
    assert tracing.attempt_span_id(ROOT, 1) == "3cceb302099a8057"
    assert len({tracing.attempt_span_id(ROOT, attempt) for attempt in range(100)}) == 100


@given(st.one_of(st.text(), st.builds(ids.new_id), st.builds(lambda: "x" * 36)), st.integers(0, 1 << 31))
def test_ids_have_their_form_whatever_an_invocation_is_called(id: str, attempt: int) -> None:
    assert re.fullmatch("[0-9a-f]{32}", tracing.trace_id(id)) or len(id) == 36
    if ids.is_id(id):
        assert re.fullmatch("[0-9a-f]{32}", tracing.trace_id(id))
        assert re.fullmatch("[0-9a-f]{16}", tracing.span_id(id))
    assert re.fullmatch("[0-9a-f]{16}", tracing.attempt_span_id(id, attempt))


def test_what_follows_is_in_the_same_trace_below_its_cause() -> None:
    first = invocation(trace=model.TraceContext(PARENT, "a=1"))
    chain = calling.after(first)
    assert chain == calling.Chain(1, ROOT, ROOT, model.TraceContext(f"00-{TRACE}-{tracing.span_id(ROOT)}-01", "a=1"))
    assert calling.after(invocation()).trace is None


def test_a_request_to_elsewhere_says_in_which_trace_it_is() -> None:
    assert tracing.outgoing(invocation()) == {"traceparent": f"00-{tracing.trace_id(ROOT)}-{tracing.span_id(ROOT)}-01"}
    traced = invocation(trace=model.TraceContext(f"00-{TRACE}-{SPAN}-00", "a=1"))
    assert tracing.outgoing(traced) == {
        "traceparent": f"00-{TRACE}-{tracing.span_id(ROOT)}-00", "tracestate": "a=1",
    }  # fmt: skip
    below = invocation(id=ids.new_id(), root_id=ROOT)
    assert tracing.outgoing(below)["traceparent"][3:35] == tracing.trace_id(ROOT)


def test_an_attempt_is_told_its_own_span() -> None:
    in_trace, span = tracing.trace_id(ROOT), tracing.attempt_span_id(ROOT, 2)
    assert tracing.told(invocation(attempt=2)) == f"Root=1-{in_trace[:8]}-{in_trace[8:]};Parent={span};Sampled=0"
    lines = tracing.told(invocation(attempt=2, trace=model.TraceContext(PARENT, "a=1"))).split("\n")
    assert lines == [f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={span};Sampled=1", f"00-{TRACE}-{span}-01", "a=1"]
    assert tracing.told(invocation(trace=model.TraceContext(f"00-{TRACE}-{SPAN}-00"))).endswith("-00\n")
